import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {generateApis, generatedFolder} from '#runtime/cri/api/generate';
import {formatProtoFile} from '#runtime/cri/api/proto-file';
import {
  ImageService,
  RuntimeService,
  SecurityProfile_ProfileTypeSchema,
} from '#runtime/cri/gen/cri-v1_pb';
import {folderOf} from '#test/cri-service';

test('the committed code is what the generator makes of the API', async t => {
  const folder = await folderOf(t);
  await generateApis(folder);
  t.deepEqual(readdirSync(folder).sort(), readdirSync(generatedFolder).sort());
  for (const name of readdirSync(folder)) {
    const [made, committed] = [folder, generatedFolder].map(path =>
      readFileSync(join(path, name), 'utf8'),
    );
    t.true(made === committed, `${name}: run "node src/runtime/cri/api/generate.ts"`);
  }
});

test('the API has the 43 RPCs of CRI v1, seven of them streams of responses', t => {
  const methods = [...RuntimeService.methods, ...ImageService.methods];
  t.is(methods.length, 43);
  t.is(methods.filter(({methodKind}) => methodKind === 'server_streaming').length, 7);
  t.is(SecurityProfile_ProfileTypeSchema.typeName, 'runtime.v1.SecurityProfile.ProfileType');
});

test('a description becomes a proto file, nested enums and marks included', t => {
  const text = formatProtoFile({
    package: 'a.b',
    services: {S: {Get: 'Request -> stream Reply'}},
    messages: {
      Request: {},
      Reply: {kind: 'Kind 1', old: 'map<string, string> 2 deprecated redacted'},
    },
    enums: {'Reply.Kind': {One: 0}, Top: {Two: 0}},
  });
  t.is(
    text,
    [
      'syntax = "proto3";',
      'package a.b;',
      'service S {',
      'rpc Get(Request) returns (stream Reply);',
      '}',
      'message Request {',
      '}',
      'message Reply {',
      'enum Kind {',
      'One = 0;',
      '}',
      'Kind kind = 1;',
      'map<string, string> old = 2 [deprecated = true, debug_redact = true];',
      '}',
      'enum Top {',
      'Two = 0;',
      '}',
      '',
    ].join('\n'),
  );
});

test('a field without a number is a mistake of ours', t => {
  const api = {package: 'a', services: {}, messages: {M: {x: 'string'}}, enums: {}};
  t.throws(() => formatProtoFile(api), {instanceOf: TypeError});
});
