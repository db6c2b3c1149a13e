import test from 'ava';
import {status} from '#provisioner/actions/status';
import {CodedError} from '#shared/errors';
import {aKeyPair} from '#test/a-ca';
import {aSite} from '#test/a-site';

const certificate = (text: string) => `certificate\t${Buffer.from(text).toString('base64')}\n`;
const good = certificate(aKeyPair().certificate);

test('one host that does not answer, or one file that is no certificate, hides nothing of the others', async t => {
  const site = aSite({
    respond: ({script}, host) => {
      if (!script.includes('kubelet-client-current.pem')) return undefined;
      if (host === 'h2') throw new CodedError('ERR_HOST_TIMEOUT', 'h2: late', {hint: 'wait'});
      return host === 'h3' ? `${good}${certificate('')}` : good;
    },
  });
  const {hosts, cluster} = await status(site.environment);
  t.is(cluster, undefined);
  t.like(hosts[0], {host: 'h1', ssh: 'ok'});
  t.regex(hosts[0]?.certificatesUntil ?? '', /^\d{4}-\d\d-\d\d$/);
  t.like(hosts[1], {host: 'h2', ssh: 'ERR_HOST_TIMEOUT', drift: undefined});
  t.like(hosts[2], {host: 'h3', ssh: 'ok', certificatesUntil: '! unreadable'});
});
