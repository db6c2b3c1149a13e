import {create} from '@bufbuild/protobuf';
import {CreateContainerRequestSchema, SELinuxOptionSchema} from '#runtime/cri/gen/cri-v1_pb';
import {checkContainerRequest} from '#runtime/service/container-request';
import {refuseSelinuxLabel} from '#runtime/service/unsupported';
import {aContainerConfig} from '#test/a-container';
import test from 'ava';

const checked = (config: Parameters<typeof aContainerConfig>[0]) =>
  checkContainerRequest(create(CreateContainerRequestSchema, {config: aContainerConfig(config)}));

test('CDI devices are refused by name, whichever way they are asked for', t => {
  const name = 'vendor.example/gpu=0';
  const refusal = {code: 'ERR_NOT_IMPLEMENTED', message: /vendor\.example\/gpu=0/};
  t.throws(() => checked({CDIDevices: [{name}]}), refusal);
  t.throws(() => checked({annotations: {'cdi.k8s.io/plugin_gpu': name}}), refusal);
  t.notThrows(() => checked({CDIDevices: [], annotations: {'example.org/cdi.k8s.io': name}}));
});

test('an SELinux label is refused where the host has SELinux', t => {
  const label = create(SELinuxOptionSchema, {type: 'container_t'});
  t.throws(
    () => {
      refuseSelinuxLabel(label, {selinux: true});
    },
    {
      code: 'ERR_NOT_IMPLEMENTED',
      message: /type container_t/,
    },
  );
  t.notThrows(() => {
    refuseSelinuxLabel(label, {selinux: false});
  });
});

test('no label and an empty one are nothing', t => {
  t.notThrows(() => {
    refuseSelinuxLabel(undefined, {selinux: true});
  });
  t.notThrows(() => {
    refuseSelinuxLabel(create(SELinuxOptionSchema), {selinux: true});
  });
});
