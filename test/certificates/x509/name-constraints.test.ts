import test from 'ava';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {caSecretContents} from '#certificates/issuers/ca-key-pair';
import {parseCertificate} from '#certificates/x509/certificate';
import {parseSigningRequest} from '#certificates/x509/certificate-request';
import {encodePrivateKey} from '#certificates/x509/keys';
import {fixedKey} from '#test/certificates/fixed-key';
import {aSecret} from '#test/certificates/issuing';
import {openssl} from '#test/certificates/openssl';
import {temporaryFolder} from '#test/temporary-folder';

test('constraints on names of kinds that we do not issue leave a certificate readable', async t => {
  await using folder = await temporaryFolder();
  const [keyPath, configPath] = [join(folder.path, 'key'), join(folder.path, 'config')];
  writeFileSync(keyPath, encodePrivateKey(fixedKey('ca'), 'PKCS8'));
  writeFileSync(
    configPath,
    '[req]\ndistinguished_name=dn\nx509_extensions=ext\nreq_extensions=ext\nprompt=no\n' +
      '[dn]\nCN=bound\n[ext]\nbasicConstraints=critical,CA:true\n' +
      'nameConstraints=critical,permitted;DNS:example.com,permitted;dirName:place,excluded;otherName:1.2.3;UTF8:x\n' +
      '[place]\nO=Example\n',
  );
  const make = (...how: readonly string[]) =>
    openssl(['req', '-new', '-key', keyPath, '-config', configPath, ...how]);
  const ca = make('-x509');
  const {nameConstraints} = parseCertificate(ca);
  t.deepEqual(nameConstraints, {
    critical: true,
    permitted: {dnsDomains: ['example.com']},
    excluded: {},
    hasUnknown: true,
  });
  const data = {'tls.crt': ca, 'tls.key': encodePrivateKey(fixedKey('ca'), 'PKCS8')};
  const secret = aSecret({namespace: 'shop', name: 'ca', data});
  t.is(caSecretContents(secret).kind, 'key-pair', 'and it may sign');
  // Nobody could issue what such a request asks for.
  t.throws(() => parseSigningRequest(make()), {code: 'ERR_REQUEST_INVALID'});
});
