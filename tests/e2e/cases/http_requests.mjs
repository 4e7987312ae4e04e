// Malformed and boundary HTTP/1.1 requests as data: {name, bytes, outcomes}.
//
// `outcomes` are the answers the RFCs allow, each a list of final statuses followed by how it goes on: behind every
// case the test sends `GET /hello` with `Connection: close`; 'next' at the end of an outcome says that this request is
// answered too, its absence that the connection was closed and the request never taken for one.

const refusal = (...statuses) => statuses.map((status) => [status]);
const answered = (...statuses) => [[...statuses, 'next']];
// A request that is understood and refused for what it asks: both going on and closing are right.
const declined = (...statuses) => statuses.flatMap((status) => [[status], [status, 'next']]);

const cases = [];
const names = new Set();
function add(group, name, text, outcomes, extra = {}) {
  const full = `${group}: ${name}`;
  if (names.has(full)) throw new Error(`two cases are named "${full}"`);
  names.add(full);
  cases.push({ name: full, bytes: Buffer.from(text, 'latin1'), outcomes, ...extra });
}
const show = (byte) => `0x${byte.toString(16).padStart(2, '0')}`;
const get = (fields) => `GET /hello HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const post = (fields, body = '') => `POST /echo HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`;
const chunked = (body) => post('Transfer-Encoding: chunked\r\n', body);

const tchar = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const controls = [...Array(32).keys(), 127];

// --- Request line (RFC 9112 section 3) -------------------------------------------------------------------------------

add('request line', 'a plain GET', get(''), answered(200));
add('request line', 'one CRLF before it is skipped', `\r\n${get('')}`, answered(200));
for (const [name, text] of [
  ['no version', 'GET /hello\r\n\r\n'],
  ['only a method', 'GET\r\nHost: a\r\n\r\n'],
  ['no target', 'GET HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['two spaces after the method', 'GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['two spaces before the version', 'GET /hello  HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a space at its end', 'GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n'],
  ['a space before it', ' GET /hello HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a tab for the first space', 'GET\t/hello HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a tab for the second space', 'GET /hello\tHTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a word too many', 'GET /hello x HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a bare LF at its end', 'GET /hello HTTP/1.1\nHost: a\r\n\r\n'],
  ['a bare CR at its end', 'GET /hello HTTP/1.1\rHost: a\r\n\r\n'],
  ['two CR before LF', 'GET /hello HTTP/1.1\r\r\nHost: a\r\n\r\n'],
  ['a bare LF before it', '\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a bare CR before it', '\rGET /hello HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['only LF everywhere', 'GET /hello HTTP/1.1\nHost: a\n\n'],
  ['binary: a TLS client hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + 'x'.repeat(64)],
  ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
]) {
  const statuses = name === 'an HTTP/2 preface' ? [400, 405, 501, 505] : [400];
  add('request line', name, text, refusal(...statuses));
}
for (let byte = 0; byte < 256; ++byte) {
  const character = String.fromCharCode(byte);
  if (tchar.test(character) || character === ' ') continue;
  if (byte >= 128 && byte % 16 !== 0 && byte !== 255) continue;
  add('method', `with the byte ${show(byte)}`, `GE${character}T /hello HTTP/1.1\r\nHost: a\r\n\r\n`, refusal(400));
}
add('method', 'unknown', 'BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n', declined(405, 501));
add('method', 'in lower case is another method', 'get /hello HTTP/1.1\r\nHost: a\r\n\r\n', declined(400, 405, 501));
add('method', 'known, not for this route', 'DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n', declined(405));
add('method', 'TRACE', 'TRACE /hello HTTP/1.1\r\nHost: a\r\n\r\n', declined(405, 501));
add('method', 'CONNECT with an authority', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', declined(400, 405, 501));
add('method', 'of 5,000 bytes', `${'A'.repeat(5000)} /hello HTTP/1.1\r\nHost: a\r\n\r\n`, refusal(400, 414, 431, 501));

for (const [version, statuses] of [
  ['HTTP/1', [400]], ['HTTP/1.', [400]], ['HTTP/.1', [400]], ['HTTP/11', [400]], ['HTTP/01.1', [400]],
  ['HTTP/1.01', [400]], ['HTTP/1.10', [400]], ['HTTP/1,1', [400]], ['HTTP/1.1x', [400]], ['HTTP/ 1.1', [400]],
  ['http/1.1', [400]], ['Http/1.1', [400]], ['HTP/1.1', [400]], ['HTTPS/1.1', [400]], ['HTTP-1.1', [400]],
  ['HTTP/-1.1', [400]], ['HTTP/+1.1', [400]], ['HTTP/a.b', [400]], ['HTTP/1.a', [400]], ['XHTTP/1.1', [400]],
  ['HTTP/1.1\x00', [400]], ['HTTP/1.1\x0b', [400]], ['HTTP/1.1\t', [400]], ['/1.1', [400]], ['HTTP/', [400]],
  ['HTTP/0.9', [400, 505]], ['HTTP/2.0', [400, 505]], ['HTTP/3.0', [400, 505]], ['HTTP/9.9', [400, 505]],
  ['HTTP/2', [400, 505]], ['HTTP/1.\xb1', [400]], ['HTTP/1.1 HTTP/1.1', [400]],
]) {
  add('version', JSON.stringify(version), `GET /hello ${version}\r\nHost: a\r\n\r\n`, refusal(...statuses));
}
add('version', 'HTTP/1.2 is HTTP/1.1 or refused', 'GET /hello HTTP/1.2\r\nHost: a\r\n\r\n',
    [[200, 'next'], [505], [400]]);
add('version', 'HTTP/1.0 closes', 'GET /hello HTTP/1.0\r\n\r\n', refusal(200));
add('version', 'HTTP/1.0 with Host closes', 'GET /hello HTTP/1.0\r\nHost: a\r\n\r\n', refusal(200));
add('version', 'HTTP/1.0 with keep-alive goes on', 'GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
    [[200, 'next'], [200]]);
add('version', 'HTTP/1.0 with a bad Host', 'GET /hello HTTP/1.0\r\nHost: a b\r\n\r\n', refusal(400));

// --- Request target ----------------------------------------------------------------------------------------------------

for (const [name, target, outcomes] of [
  ['origin form with a query', '/hello?a=b&c', answered(200)],
  ['an encoded letter', '/h%65llo', answered(200)],
  ['an unknown path', '/nothing-here', declined(404)],
  ['absolute form', 'http://a/hello', answered(200)],
  ['absolute form with a port', 'http://a:80/hello', answered(200)],
  ['absolute form, scheme in capitals', 'HTTP://a/hello', answered(200)],
  ['absolute form without a path', 'http://a', [[200, 'next'], [404, 'next'], [404]]],
  ['no leading slash', 'hello', refusal(400)],
  ['a dot', './hello', refusal(400)],
  ['an asterisk with GET', '*', refusal(400)],
  ['a fragment', '/hello#x', refusal(400)],
  ['another scheme', 'ftp://a/hello', refusal(400)],
  ['a scheme and nothing', 'http://', refusal(400)],
  ['a scheme with an empty host', 'http:///hello', refusal(400)],
  ['absolute form with a bad port', 'http://a:99999/hello', refusal(400)],
  ['absolute form with a port of letters', 'http://a:b/hello', refusal(400)],
  ['absolute form with user information', 'http://u@a/hello', refusal(400)],
  ['authority form with GET', 'a:80', refusal(400)],
  ['only a question mark', '?a', refusal(400)],
  ['a percent sign and nothing', '/hello%', declined(400, 404)],
  ['a percent sign and one digit', '/hello%4', declined(400, 404)],
  ['a percent sign and no digits', '/hello%zz', declined(400, 404)],
  ['an encoded NUL', '/hello%00', declined(400, 404)],
  ['an escape from the static directory', '/static/../../../../etc/passwd', declined(400, 403, 404)],
  ['an encoded escape', '/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd', declined(400, 403, 404)],
  ['an escape with an encoded slash', '/static/..%2f..%2f..%2fetc/passwd', declined(400, 403, 404)],
  ['an escape with a backslash', '/static/..%5c..%5cetc%5cpasswd', declined(400, 403, 404)],
  ['an absolute path behind the prefix', '/static//etc/passwd', declined(400, 403, 404)],
]) {
  add('target', name, `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, outcomes);
}
for (const byte of [...controls.filter((c) => c !== 10 && c !== 13), 10, 13, 128, 160, 233, 255]) {
  add('target', `with the byte ${show(byte)}`, `GET /he${String.fromCharCode(byte)}llo HTTP/1.1\r\nHost: a\r\n\r\n`,
      refusal(400));
}
add('target', 'OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', [[200, 'next'], [204, 'next']]);
add('target', 'OPTIONS of a path', 'OPTIONS /hello HTTP/1.1\r\nHost: a\r\n\r\n',
    [[200, 'next'], [204, 'next'], [405, 'next'], [405]]);
add('target', 'of 100 KiB', `GET /${'a'.repeat(100 * 1024)} HTTP/1.1\r\nHost: a\r\n\r\n`, refusal(414, 431),
    { long: true });
add('target', 'of 100 KiB without an end', `GET /${'a'.repeat(100 * 1024)}`, refusal(414, 431),
    { long: true });
add('target', 'of 1,000 bytes', `GET /hello?${'a'.repeat(1000)} HTTP/1.1\r\nHost: a\r\n\r\n`, answered(200));

// --- Host (RFC 9112 section 3.2) ---------------------------------------------------------------------------------------

add('Host', 'missing', 'GET /hello HTTP/1.1\r\n\r\n', refusal(400));
add('Host', 'missing, other fields there', 'GET /hello HTTP/1.1\r\nAccept: */*\r\n\r\n', refusal(400));
add('Host', 'missing in absolute form', 'GET http://a/hello HTTP/1.1\r\n\r\n', refusal(400));
add('Host', 'twice the same', 'GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', refusal(400));
add('Host', 'twice', 'GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', refusal(400));
add('Host', 'twice, in other letters', 'GET /hello HTTP/1.1\r\nhost: a\r\nHOST: b\r\n\r\n', refusal(400));
for (const host of [
  'a b', 'a, b', 'a/b', 'a\\b', 'u@a', 'a:b', 'a:80:80', 'a:99999', 'a:-1', 'a:+80', 'a: 80', '[::1', '::1]',
  '[zz]', '[]', '[::1]x', '[::1]:x', '[::1]80', 'a?b', 'a#b', 'a"b', '<a>', 'a\tb', 'a\x00b', 'a\x7fb', '%zz', 'a^b',
  'a{b}', 'a|b', 'a`b',
]) {
  add('Host', `malformed: ${JSON.stringify(host)}`, `GET /hello HTTP/1.1\r\nHost: ${host}\r\n\r\n`, refusal(400));
}
for (const host of ['a:80', 'a:', '[::1]', '[::1]:8080', 'EXAMPLE.com', '127.0.0.1', '127.0.0.1:65535', 'a-b.c_d',
  'xn--bcher-kva.example', 'a.', 'a!b', '%61']) {
  add('Host', `good: ${JSON.stringify(host)}`, `GET /hello HTTP/1.1\r\nHost: ${host}\r\n\r\n`, answered(200));
}
// A comma is a sub-delim, so a registered name may hold it (RFC 3986 section 3.2.2); here it rather is a forged list.
add('Host', 'a comma', 'GET /hello HTTP/1.1\r\nHost: a,b\r\n\r\n', [[200, 'next'], [400]]);
add('Host', 'empty', 'GET /hello HTTP/1.1\r\nHost:\r\n\r\n', [[200, 'next'], [400]]);

// --- Fields (RFC 9112 section 5) -----------------------------------------------------------------------------------------

for (const [name, field] of [
  ['space before the colon', 'X-A : b'], ['tab before the colon', 'X-A\t: b'], ['no colon', 'X-A b'],
  ['an empty name', ': b'], ['only a colon', ':'], ['a space in the name', 'X A: b'],
  ['a folded line', 'X-A: b\r\n c'], ['a folded line with a tab', 'X-A: b\r\n\tc'],
  ['a folded empty line', 'X-A: b\r\n \r\nX-B: c'],
  ['a bare LF at the end', 'X-A: b\nX-B: c'], ['a bare CR at the end', 'X-A: b\rX-B: c'],
  ['two CR before LF', 'X-A: b\r\r\nX-B: c'], ['a bare CR in the value', 'X-A: b\rc'],
  ['a CR before the colon', 'X-A\r: b'], ['an LF before the colon', 'X-A\n: b'],
  ['a request smuggled behind a bare LF', 'X-A: b\n\nGET /hello HTTP/1.1\r\nHost: a'],
  ['Content-Length with a space before the colon', 'Content-Length : 0'],
  ['Transfer-Encoding with a space before the colon', 'Transfer-Encoding : chunked'],
]) {
  add('field', name, get(`${field}\r\n`), refusal(400));
}
add('field', 'white space before the first', 'GET /hello HTTP/1.1\r\n Host: a\r\n\r\n', refusal(400));
add('field', 'a folded line right after the request line', 'GET /hello HTTP/1.1\r\n\tx\r\nHost: a\r\n\r\n', refusal(400));
add('field', 'a bare LF as the end of the head', 'GET /hello HTTP/1.1\r\nHost: a\r\n\n', refusal(400));
add('field', 'a bare CR as the end of the head', 'GET /hello HTTP/1.1\r\nHost: a\r\n\rx', refusal(400));
for (let byte = 0; byte < 256; ++byte) {
  const character = String.fromCharCode(byte);
  if (tchar.test(character) || character === ':') continue;
  if (byte >= 128 && byte % 16 !== 0 && byte !== 255) continue;
  add('field name', `with the byte ${show(byte)}`, get(`X${character}A: b\r\n`), refusal(400));
}
for (const byte of controls) {
  if (byte === 9) continue;
  add('field value', `with the byte ${show(byte)}`, get(`X-A: b${String.fromCharCode(byte)}c\r\n`), refusal(400));
}
for (const [name, field] of [
  ['no space after the colon', 'X-A:b'], ['many spaces', 'X-A:     b   '], ['tabs around it', 'X-A:\tb\t'],
  ['a tab inside', 'X-A: b\tc'], ['empty', 'X-A:'], ['only spaces', 'X-A:   '], ['bytes above 127', 'X-A: \xe9\xff\x80'],
  ['a colon inside', 'X-A: b:c:'], ['every token character as a name', "!#$%&'*+-.^_`|~09azAZ: b"],
  ['an empty Connection', 'Connection:'],
]) {
  add('field value', name, get(`${field}\r\n`), answered(200));
}
add('field', 'a value of 1 MiB', get(`X-A: ${'b'.repeat(1 << 20)}\r\n`), refusal(431), { long: true });
add('field', 'a name of 100 KiB', get(`${'b'.repeat(100 << 10)}: a\r\n`), refusal(400, 431), { long: true });
add('field', '20,000 of them', get('A: b\r\n'.repeat(20000)), refusal(431), { long: true });
add('field', '1,001 of them', get('A: b\r\n'.repeat(1001)), refusal(431), { long: true });
add('field', 'forty of them', get(Array.from({ length: 40 }, (_, i) => `X-${i}: b\r\n`).join('')), answered(200));
add('field', 'a value of 4,000 bytes', get(`X-A: ${'b'.repeat(4000)}\r\n`), answered(200), { long: true });

// --- Connection ------------------------------------------------------------------------------------------------------------

for (const value of ['close', 'Close', 'CLOSE', 'close, keep-alive', 'keep-alive, close', 'foo, close', 'foo,close',
  ' close ', 'close,', ',close', 'foo\t,\tclose', 'foo\r\nConnection: close', 'close\r\nConnection: foo']) {
  add('Connection', JSON.stringify(value), get(`Connection: ${value}\r\n`), refusal(200));
}
for (const value of ['keep-alive', 'Keep-Alive', 'foo', 'closed', 'not-close', 'close-not', 'Xclose']) {
  add('Connection', JSON.stringify(value), get(`Connection: ${value}\r\n`), answered(200));
}

// --- Content-Length (RFC 9110 section 8.6, RFC 9112 section 6.3) --------------------------------------------------------------

for (const value of ['', ' ', '+5', '-5', '-0', '5 5', '0x5', '0X5', '5,5', '5, 5', '5,6', ',5', '5,', '5;', '5.0', '1e1',
  '"5"', "'5'", '5\t5', '5\x00', '\x005', '5\x0b', '\x0b5', 'five', '\xb5', '99999999999999999999999',
  '18446744073709551616', '18446744073709551621', '340282366920938463463374607431768211461', 'NaN', 'inf', '5h', '_5',
  '1_000', '(5)', '5\r\n 5']) {
  add('Content-Length', JSON.stringify(value), post(`Content-Length: ${value}\r\n`, 'hello'),
      /^\d{20,}$/.test(value) ? refusal(400, 413) : refusal(400));
}
add('Content-Length', 'twice the same', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'), refusal(400));
add('Content-Length', 'twice', post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello'), refusal(400));
add('Content-Length', 'twice, in other letters', post('content-length: 5\r\nCONTENT-LENGTH: 6\r\n', 'hello'), refusal(400));
add('Content-Length', 'twice, one of them empty', post('Content-Length: 5\r\nContent-Length:\r\n', 'hello'), refusal(400));
add('Content-Length', 'twice on a GET', get('Content-Length: 0\r\nContent-Length: 0\r\n'), refusal(400));
add('Content-Length', 'good', post('Content-Length: 5\r\n', 'hello'), answered(200), { bodies: ['hello'] });
add('Content-Length', 'with white space around', post('Content-Length: \t 5 \t\r\n', 'hello'), answered(200),
    { bodies: ['hello'] });
add('Content-Length', 'zero', post('Content-Length: 0\r\n'), answered(200), { bodies: [''] });
add('Content-Length', 'with leading zeros', post('Content-Length: 0005\r\n', 'hello'), [[200, 'next'], [400]]);
add('Content-Length', 'none on a POST', post(''), [[200, 'next'], [411], [411, 'next']]);
add('Content-Length', 'on a GET', `GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`, answered(200),
    { bodies: ['hello'] });
add('Content-Length', 'a body that looks like a request',
    post('Content-Length: 36\r\n', 'GET /hello HTTP/1.1\r\nHost: evil\r\n\r\n!'), answered(200),
    { bodies: ['GET /hello HTTP/1.1\r\nHost: evil\r\n\r\n!'] });
add('Content-Length', 'a body for a route without one', 'POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    declined(405));
add('Content-Length', 'a body for an unknown path', 'POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    declined(404, 405));
add('Content-Length', 'above every limit', post('Content-Length: 9223372036854775807\r\n', 'hello'), refusal(400, 413));
add('Content-Length', 'the largest 64-bit number', post('Content-Length: 18446744073709551615\r\n', 'hello'),
    refusal(400, 413));

// --- Transfer-Encoding (RFC 9112 section 6.1) -----------------------------------------------------------------------------------

const five = '5\r\nhello\r\n0\r\n\r\n';
for (const [name, fields, statuses] of [
  ['with Content-Length', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', [400]],
  ['with Content-Length behind it', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', [400]],
  ['with Content-Length 0', 'Transfer-Encoding: chunked\r\nContent-Length: 0\r\n', [400]],
  ['twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', [400]],
  ['chunked twice in a list', 'Transfer-Encoding: chunked, chunked\r\n', [400]],
  ['not final', 'Transfer-Encoding: chunked, gzip\r\n', [400, 501]],
  ['gzip', 'Transfer-Encoding: gzip\r\n', [400, 501]],
  ['gzip, chunked', 'Transfer-Encoding: gzip, chunked\r\n', [400, 501]],
  ['gzip and chunked in two lines', 'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', [400, 501]],
  ['identity', 'Transfer-Encoding: identity\r\n', [400, 501]],
  ['identity, chunked', 'Transfer-Encoding: identity, chunked\r\n', [400, 501]],
  ['empty', 'Transfer-Encoding:\r\n', [400, 501]],
  ['xchunked', 'Transfer-Encoding: xchunked\r\n', [400, 501]],
  ['chunkedx', 'Transfer-Encoding: chunkedx\r\n', [400, 501]],
  ['"chunked"', 'Transfer-Encoding: "chunked"\r\n', [400, 501]],
  ['chunked with a parameter', 'Transfer-Encoding: chunked;q=1\r\n', [400, 501]],
  ['a vertical tab before it', 'Transfer-Encoding: \x0bchunked\r\n', [400]],
  ['a NUL behind it', 'Transfer-Encoding: chunked\x00\r\n', [400]],
  ['folded', 'Transfer-Encoding:\r\n chunked\r\n', [400]],
  ['two words', 'Transfer-Encoding: chunked chunked\r\n', [400, 501]],
]) {
  add('Transfer-Encoding', name, post(fields, five), refusal(...statuses));
}
add('Transfer-Encoding', 'in HTTP/1.0',
    `POST /echo HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${five}`, refusal(400));
add('Transfer-Encoding', 'chunked', chunked(five), answered(200), { bodies: ['hello'] });
add('Transfer-Encoding', 'CHUNKED', post('TRANSFER-ENCODING: CHUNKED\r\n', five), answered(200), { bodies: ['hello'] });
add('Transfer-Encoding', 'chunked with white space around', post('Transfer-Encoding: \tchunked\t \r\n', five),
    answered(200), { bodies: ['hello'] });

// --- Chunks (RFC 9112 section 7.1) ------------------------------------------------------------------------------------------------

for (const [name, body, echoed] of [
  ['none', '0\r\n\r\n', ''],
  ['several', '1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n', 'abcdef'],
  ['hex digits in both cases', 'A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789'],
  ['leading zeros', '0005\r\nhello\r\n000\r\n\r\n', 'hello'],
  ['an extension', '5;a=b\r\nhello\r\n0;c\r\n\r\n', 'hello'],
  ['a quoted extension', '5;a="b;c"\r\nhello\r\n0\r\n\r\n', 'hello'],
  ['a trailer', '5\r\nhello\r\n0\r\nX-A: b\r\n\r\n', 'hello'],
  ['two trailers', '5\r\nhello\r\n0\r\nX-A: b\r\nX-B:\r\n\r\n', 'hello'],
  ['data that looks like a chunk', 'c\r\n5\r\nhello\r\n0\r\r\n0\r\n\r\n', '5\r\nhello\r\n0\r'],
  ['data that looks like a request', '17\r\nGET /hello HTTP/1.1\r\n\r\n\r\n0\r\n\r\n', 'GET /hello HTTP/1.1\r\n\r\n'],
]) {
  add('chunk', name, chunked(body), answered(200), { bodies: [echoed] });
}
for (const [name, body] of [
  ['size: a letter beyond f', 'g\r\nhello\r\n0\r\n\r\n'],
  ['size: empty', '\r\nhello\r\n0\r\n\r\n'],
  ['size: only an extension', ';a=b\r\nhello\r\n0\r\n\r\n'],
  ['size: with a minus', '-5\r\nhello\r\n0\r\n\r\n'],
  ['size: with a plus', '+5\r\nhello\r\n0\r\n\r\n'],
  ['size: with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['size: a space before it', ' 5\r\nhello\r\n0\r\n\r\n'],
  ['size: a space behind it', '5 \r\nhello\r\n0\r\n\r\n'],
  ['size: a tab behind it', '5\t\r\nhello\r\n0\r\n\r\n'],
  ['size: a space inside', '5 5\r\nhello\r\n0\r\n\r\n'],
  ['size: a NUL behind it', '5\x00\r\nhello\r\n0\r\n\r\n'],
  ['size: an underscore', '1_0\r\nhello\r\n0\r\n\r\n'],
  ['size: a comma', '5,\r\nhello\r\n0\r\n\r\n'],
  ['size: bare LF', '5\nhello\r\n0\r\n\r\n'],
  ['size: bare CR', '5\rhello\r\n0\r\n\r\n'],
  ['size: two CR', '5\r\r\nhello\r\n0\r\n\r\n'],
  ['size: CR LF CR LF', '\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
  ['extension: bare LF inside', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
  ['extension: bare CR inside', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
  ['extension: NUL inside', '5;a\x00\r\nhello\r\n0\r\n\r\n'],
  ['extension: bare LF at the end', '5;a=b\nhello\r\n0\r\n\r\n'],
  ['data: too long', '5\r\nhello!\r\n0\r\n\r\n'],
  ['data: too short', '6\r\nhello\r\n0\r\n\r\n'],
  ['data: bare LF behind it', '5\r\nhello\n0\r\n\r\n'],
  ['data: bare CR behind it', '5\r\nhello\r0\r\n\r\n'],
  ['data: nothing behind it', '5\r\nhello0\r\n\r\n'],
  ['data: LF CR behind it', '5\r\nhello\n\r0\r\n\r\n'],
  ['last: bare LF', '5\r\nhello\r\n0\n\r\n'],
  ['last: bare LF at the very end', '5\r\nhello\r\n0\r\n\n'],
  ['last: a bare CR at the very end', '5\r\nhello\r\n0\r\n\rX'],
  ['last: with data', '5\r\nhello\r\n0\r\nhello\r\n\r\n'],
  ['trailer: folded', '5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n'],
  ['trailer: space before the colon', '5\r\nhello\r\n0\r\nX-A : b\r\n\r\n'],
  ['trailer: no colon', '5\r\nhello\r\n0\r\nX-A b\r\n\r\n'],
  ['trailer: empty name', '5\r\nhello\r\n0\r\n: b\r\n\r\n'],
  ['trailer: NUL in the value', '5\r\nhello\r\n0\r\nX-A: b\x00\r\n\r\n'],
  ['trailer: bare LF', '5\r\nhello\r\n0\r\nX-A: b\n\r\n'],
  ['trailer: bare CR in the value', '5\r\nhello\r\n0\r\nX-A: b\rc\r\n\r\n'],
  ['trailer: white space first', '5\r\nhello\r\n0\r\n X-A: b\r\n\r\n'],
]) {
  add('chunk', name, chunked(body), refusal(400));
}
for (const size of ['10000000000000000', 'ffffffffffffffff', '8000000000000000', '7fffffffffffffff',
  '100000000000000005', 'fffffffffffffffff', '0'.repeat(5000) + '5']) {
  add('chunk', `size out of bounds: ${size.slice(0, 20)}${size.length > 20 ? '...' : ''}`,
      chunked(`${size}\r\nhello\r\n0\r\n\r\n`), size.startsWith('0') ? [[200, 'next'], [400], [413], [431]] : refusal(400, 413),
      { long: size.length > 100 });
}
add('chunk', 'an extension of 100 KiB', chunked(`5;${'a'.repeat(100 << 10)}\r\nhello\r\n0\r\n\r\n`),
    refusal(400, 413, 431), { long: true });
add('chunk', 'trailers of 1 MiB', chunked(`5\r\nhello\r\n0\r\n${'X-A: bbbbbbbbbbbbbbbb\r\n'.repeat(48 << 10)}\r\n`),
    refusal(400, 413, 431), { long: true });

// --- Expect, Upgrade, pipelines -----------------------------------------------------------------------------------------------------

add('Expect', '100-continue with the body at hand', post('Content-Length: 5\r\nExpect: 100-continue\r\n', 'hello'),
    answered(200), { bodies: ['hello'] });
add('Expect', '100-Continue in capitals', post('Content-Length: 5\r\nExpect: 100-CONTINUE\r\n', 'hello'),
    answered(200), { bodies: ['hello'] });
add('Expect', '100-continue without a body', get('Expect: 100-continue\r\n'), answered(200));
add('Expect', 'something else', get('Expect: tea\r\n'), declined(417));
add('Expect', 'something else beside it', get('Expect: 100-continue, tea\r\n'), declined(417));
add('Upgrade', 'an unknown protocol is ignored', get('Connection: upgrade\r\nUpgrade: tea/1\r\n'), answered(200));
add('Upgrade', 'h2c is ignored', get('Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n'),
    answered(200));
add('pipeline', 'two good ones', get('') + get(''), answered(200, 200));
add('pipeline', 'ten good ones', get('').repeat(10), answered(...Array(10).fill(200)));
add('pipeline', 'a good one, a bad one', `${get('')}BAD\r\n\r\n`, [[200, 400]]);
add('pipeline', 'a good one, an unknown path, a good one',
    get('') + get('').replace('/hello', '/none') + get(''), answered(200, 404, 200));
add('pipeline', 'bodies and none', post('Content-Length: 3\r\n', 'abc') + get('') + chunked(five), answered(200, 200, 200),
    { bodies: ['abc', 'Hello, World!', 'hello'] });
add('pipeline', 'a bad chunk behind a good request', get('') + chunked('x\r\n'), [[200, 400]]);
add('pipeline', 'close in the middle', get('') + get('Connection: close\r\n') + get(''), [[200, 200]]);
add('pipeline', 'an empty line between', `${get('')}\r\n${get('')}`, [[200, 200, 'next'], [200, 400]]);

export const httpRequests = cases;
