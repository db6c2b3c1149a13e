import {AsnConvert} from '@peculiar/asn1-schema';
import {Name} from '@peculiar/asn1-x509';
import test, {type ExecutionContext} from 'ava';
import {isIP} from 'node:net';
import {
  nameValues,
  subjectName,
  type DistinguishedName,
  type StringType,
} from '#certificates/x509/distinguished-name';
import {
  formatIpAddress,
  formatIpRange,
  parseIpAddress,
  parseIpRange,
} from '#certificates/x509/ip-address';
import {formatName, parseLiteralSubject} from '#certificates/x509/literal-subject';
import {decodeName, encodeName} from '#certificates/x509/name-encoding';

/** `C=DE` for each attribute in the order of the DER, levels apart by a slash. */
function inDerOrder(name: DistinguishedName): string {
  return name.map(level => level.map(({oid, value}) => `${oid}=${value}`).join('+')).join('/');
}

const reads = test.macro((t: ExecutionContext, text: string, expected: string) => {
  t.is(inDerOrder(parseLiteralSubject(text)), expected);
});

test('a literal subject is turned round: most general level first', reads,
  'CN=web,OU=infra,O=Example,DC=example,DC=com',
  '0.9.2342.19200300.100.1.25=com/0.9.2342.19200300.100.1.25=example/2.5.4.10=Example/2.5.4.11=infra/2.5.4.3=web'); // prettier-ignore
test('a plus joins attributes of one level', reads, 'CN=a+UID=b+OU=c,O=d', '2.5.4.10=d/2.5.4.3=a+0.9.2342.19200300.100.1.1=b+2.5.4.11=c'); // prettier-ignore
test('keys are known in any case, and as dotted identifiers', reads, 'cn=a,oid.2.5.4.6=DE,2.5.4.65=p', '2.5.4.65=p/2.5.4.6=DE/2.5.4.3=a'); // prettier-ignore
test('spaces around keys and values do not count, escaped ones do', reads, ' CN =  a b  , O=\\ c\\  ', '2.5.4.10= c /2.5.4.3=a b'); // prettier-ignore
test('a backslash takes the meaning from a character', reads, 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\=i\\#j', '2.5.4.3=a,b+c"d\\e<f>g;h=i#j'); // prettier-ignore
test('a backslash and two digits are an octet of UTF-8', reads, 'CN=Gr\\C3\\BC\\C3\\9Fe\\0A', '2.5.4.3=Grüße\n'); // prettier-ignore
test('text beyond ASCII and beyond 16 bits may stand as it is', reads, 'CN=ü😀', '2.5.4.3=ü😀');
test('a number sign begins the DER of a value', reads, 'CN=#0C0161 ,O=x', '2.5.4.10=x/2.5.4.3=a');
test('a value that is no string stays DER', reads, '1.2.3=#0203010001', '1.2.3=0203010001');
test('a semicolon separates, as RFC 2253 had it', reads, 'CN=a;O=b', '2.5.4.10=b/2.5.4.3=a');
test('a value may be empty, and have equals signs', reads, 'CN=,O=a=b', '2.5.4.10=a=b/2.5.4.3=');

const refuses = test.macro((t: ExecutionContext, text: string) => {
  t.throws(() => parseLiteralSubject(text), {code: 'ERR_NAME_INVALID'});
});

test('an empty literal subject is refused', refuses, ' ');
test('text without a key is refused', refuses, 'CN=a,web');
test('a comma at the end is refused', refuses, 'CN=a,');
test('two commas are refused', refuses, 'CN=a,,O=b');
test('a missing key is refused', refuses, '=a');
test('an unknown key is refused', refuses, 'CM=a');
test('an identifier that cannot be is refused', refuses, '3.5.4=a');
test('an identifier with a leading zero is refused', refuses, '2.05.4=a');
test('a bare quotation mark is refused', refuses, 'CN="a"');
test('a bare angle bracket is refused', refuses, 'CN=<a>');
test('a backslash at the end is refused', refuses, 'CN=a\\');
test('a backslash before another letter is refused', refuses, 'CN=a\\x');
test('octets that are not UTF-8 are refused', refuses, 'CN=\\FF');
test('half of a surrogate pair is refused', refuses, 'CN=\ud800');
test('hexadecimal with an odd digit is refused', refuses, 'CN=#0C016');
test('hexadecimal that is not DER is refused', refuses, 'CN=#0C05');
test('hexadecimal with two values is refused', refuses, 'CN=#0C01610500');
test('hexadecimal with a context tag is refused', refuses, 'CN=#800161');
test('a subject of 8,193 characters is refused', refuses, `CN=${'a'.repeat(8_190)}`);
test('a name like a property of every object is refused', refuses, '__proto__=a');

test('a mistyped key is refused with the one that was meant', t => {
  t.throws(() => parseLiteralSubject('CN=a,POSTALCOD=b'), {message: /did you mean POSTALCODE/});
});

test('what is formatted reads back the same', t => {
  for (const text of [
    'CN=a\\, b\\+c+OU=\\#d,O=\\ e\\ ,C=DE',
    'CN=\\ ',
    'CN=ü\\"\\<\\>\\;\\\\',
    'CN=a#b=c,STREET=1\\00',
    '1.2.3.4=#0203010001,DC=com',
    'SERIALNUMBER=1,POSTALCODE=2,EMAILADDRESS=a@b',
  ]) {
    t.is(formatName(parseLiteralSubject(text)), text);
  }
  t.is(formatName([]), '');
});

test("a subject's fields come in cert-manager's order, several values in one level", t => {
  const name = subjectName({
    serialNumber: '7',
    commonName: 'cn',
    postalCodes: ['12345'],
    streetAddresses: ['street'],
    provinces: ['st'],
    localities: ['l'],
    organizationalUnits: ['b', 'a'],
    organizations: ['o'],
    countries: ['DE'],
  });
  t.is(
    formatName(name),
    'SERIALNUMBER=7,CN=cn,POSTALCODE=12345,STREET=street,ST=st,L=l,OU=b+OU=a,O=o,C=DE',
  );
  t.deepEqual(nameValues(name, '2.5.4.11'), ['b', 'a']);
  t.deepEqual(subjectName({commonName: '', organizations: []}), []);
});

/** The string types that a name is encoded with. */
function encodedTypes(name: DistinguishedName): readonly (StringType | undefined)[] {
  return decodeName(encodeName(name), 'the name')
    .flat()
    .map(({stringType}) => stringType);
}

test('texts are PrintableString where they can be, else UTF8String; DC and e-mail are IA5String', t => {
  t.deepEqual(
    encodedTypes(
      parseLiteralSubject("CN=a *,CN=A-z 0'9()\\+\\,./:=?,O=a&b,OU=ü,C=DE,SERIALNUMBER=1"),
    ),
    ['printable', 'printable', 'utf8', 'utf8', 'printable', 'utf8'],
  );
  t.deepEqual(encodedTypes(parseLiteralSubject('DC=com,EMAILADDRESS=a@b')), ['ia5', 'ia5']);
  t.throws(() => encodeName(parseLiteralSubject('DC=ü')), {code: 'ERR_NAME_INVALID'});
});

test('attributes of one level are sorted by their octets', t => {
  const name = decodeName(encodeName(parseLiteralSubject('UID=c+CN=b+CN=a+OU=long')), 'the name');
  t.is(formatName(name), 'CN=a+CN=b+OU=long+UID=c');
});

test('every string type comes out as it went in, and as the schema library reads it', t => {
  const types: readonly StringType[] = [
    'utf8', 'printable', 'ia5', 'teletex', 'bmp', 'universal', 'numeric', 'visible',
  ]; // prettier-ignore
  for (const stringType of types) {
    const value = stringType === 'numeric' ? '12 3' : 'x'.repeat(200);
    const name = [[{oid: '2.5.4.3', value, stringType}]];
    const der = encodeName(name);
    t.deepEqual(decodeName(der, 'the name'), name, stringType);
    t.deepEqual(Buffer.from(AsnConvert.serialize(AsnConvert.parse(der, Name))), der, stringType);
    t.deepEqual(encodeName(decodeName(der, 'the name')), der);
  }
});

test('BMP text with half of a surrogate pair stays DER', t => {
  const der = Buffer.from('300d310b300906035504031e02d800', 'hex');
  t.deepEqual(decodeName(der, 'the name'), [
    [{oid: '2.5.4.3', value: '1e02d800', stringType: 'der'}],
  ]);
});

test('a length that is not in its shortest form is refused', t => {
  for (const der of ['308100', '3081023100', '30820000', '30800000', '3084000000000000']) {
    t.throws(() => decodeName(Buffer.from(der, 'hex'), 'the name'), {code: 'ERR_DER_INVALID'}, der);
  }
  t.deepEqual(decodeName(Buffer.from('3000', 'hex'), 'the name'), []);
});

test('an identifier made of a UUID is read', t => {
  const oid = '2.25.329800735698586629295641978511506172918';
  const name = [[{oid, value: 'a', stringType: 'utf8'}]] as const;
  t.deepEqual(decodeName(encodeName(name), 'the name'), name);
});

test('IP addresses are read as Node reads them, and written canonically', t => {
  const texts = [
    '0.0.0.0', '255.255.255.255', '1.2.3', '1.2.3.4.5', '01.2.3.4', '256.1.1.1', '1.2.3.4 ', '',
    '::', '::1', '1::', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', ':1',
    '1:', ':::', '1:::2', '2001:DB8::A', '::ffff:1.2.3.4', '::1.2.3.4', '1.2.3.4::', '1::1.2.3.4:5',
    '64:ff9b::192.0.2.33', '1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:7:1.2.3.4', '1:2:3:4:5:1.2.3.4',
    '::12345', '::g', '0:0:0:0:0:0:0:0', '1:0:0:2:0:0:0:3', '1:0:0:2:0:0:3:4', '0:1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1:2:3:4::5:6:7:8', '::ffff:256.2.3.4', '%', '::1%1',
  ]; // prettier-ignore
  for (const text of texts) {
    const octets = parseIpAddress(text);
    const isKnown = isIP(text) !== 0 && !text.includes('%');
    t.is(octets !== undefined, isKnown, text);
    if (!octets) continue;
    const canonical = text.includes(':')
      ? URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1)
      : text;
    const expected = text === '::ffff:1.2.3.4' ? '1.2.3.4' : canonical;
    t.is(formatIpAddress(octets), expected, text);
  }
});

test('IP ranges are read with their host bits cleared', t => {
  const ranges: Readonly<Record<string, string | undefined>> = {
    '10.1.2.3/8': '10.0.0.0/8',
    '10.1.2.3/32': '10.1.2.3/32',
    '0.0.0.0/0': '0.0.0.0/0',
    '192.0.2.255/27': '192.0.2.224/27',
    '2001:DB8:FFFF::/33': '2001:db8:8000::/33',
    '::/0': '::/0',
    '::1/128': '::1/128',
    '10.0.0.0': undefined,
    '10.0.0.0/33': undefined,
    '10.0.0.0/08': undefined,
    '10.0.0.0/-1': undefined,
    '::/129': undefined,
    'a/8': undefined,
  };
  for (const [text, expected] of Object.entries(ranges)) {
    const octets = parseIpRange(text);
    t.is(octets && formatIpRange(octets), expected, text);
  }
  t.is(formatIpRange(Buffer.from('0a000000ff00ff00', 'hex')), undefined);
  t.is(formatIpRange(Buffer.from('0a0000ff', 'hex')), undefined);
});
