// What a WebSocket echo server must do, as data: {name, send: [Buffer], events, end}. `events` is what must come back,
// in order; `end` is the status code of the close frame that must follow before the server closes the connection: a
// number, null for a close frame without one, or 'open' when the connection must go on (the test then closes it itself).
// Sections are those of RFC 6455.

import { binary, close, continuation, frame, ping, pong, text } from '../lib/websocket_client.mjs';

const cases = [];
const names = new Set();
function add(group, name, send, events, end = 'open', extra = {}) {
  const full = `${group}: ${name}`;
  if (names.has(full)) throw new Error(`two cases are named "${full}"`);
  names.add(full);
  cases.push({ name: full, send, events, end, ...extra });
}
const bytes = (...values) => Buffer.from(values);
const hex = (digits) => Buffer.from(digits.replace(/\s/g, ''), 'hex');
const filled = (length, byte = 0xfe) => Buffer.alloc(length, byte);
const part = { fin: false };

// --- Sizes (section 5.2) ---------------------------------------------------------------------------------------------

for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 124, 125, 126, 127, 128, 129, 255, 256,
  1000, 1023, 1024, 1025, 4095, 4096, 4097, 16383, 16384, 16385, 16447, 16448, 16449, 32768, 65534, 65535, 65536, 65537,
  131072]) {
  add('echo', `text of ${length} bytes`, [text('*'.repeat(length))], [['text', '*'.repeat(length)]]);
  add('echo', `binary of ${length} bytes`, [binary(filled(length))], [['binary', filled(length)]]);
}
add('echo', 'every byte value', [binary(Buffer.from([...Array(256).keys()]))],
    [['binary', Buffer.from([...Array(256).keys()])]]);
for (const mask of ['00000000', 'ffffffff', '01020304', '80000000', '00000080']) {
  add('echo', `masking key ${mask}`, [text('Hello, masked World', { mask: hex(mask) })], [['text', 'Hello, masked World']]);
}
add('echo', 'a hundred messages', Array.from({ length: 100 }, (_, i) => text(`message ${i}`)),
    Array.from({ length: 100 }, (_, i) => ['text', `message ${i}`]));

// --- Ping and pong (sections 5.5.2 and 5.5.3) ---------------------------------------------------------------------------

for (const length of [0, 1, 2, 3, 4, 5, 64, 124, 125]) {
  add('ping', `of ${length} bytes`, [ping(filled(length))], [['pong', filled(length)]]);
}
add('ping', 'of 126 bytes', [ping(filled(126))], [], 1002);
add('ping', 'of 65,536 bytes', [ping(filled(65536))], [], 1002);
add('ping', 'fragmented', [ping('a', part), continuation('b')], [], 1002);
add('ping', 'ten of them', Array.from({ length: 10 }, (_, i) => ping(`${i}`)),
    Array.from({ length: 10 }, (_, i) => ['pong', Buffer.from(`${i}`)]));
add('pong', 'unasked is ignored', [pong('x'), text('a')], [['text', 'a']]);
add('pong', 'unasked and empty is ignored', [pong(''), ping('b')], [['pong', Buffer.from('b')]]);
add('pong', 'of 126 bytes', [pong(filled(126))], [], 1002);
add('pong', 'fragmented', [pong('a', part), continuation('b')], [], 1002);

// --- Reserved bits, masking, opcodes (section 5.2) -------------------------------------------------------------------------

for (let rsv = 1; rsv < 8; ++rsv) {
  add('reserved bits', `${rsv} in a text frame`, [text('x', { rsv }), ping('never')], [], 1002);
  add('reserved bits', `${rsv} behind a good message`, [text('good'), text('x', { rsv }), ping('never')],
      [['text', 'good']], 1002);
  add('reserved bits', `${rsv} in a binary frame`, [binary(filled(200), { rsv })], [], 1002);
  add('reserved bits', `${rsv} in a ping`, [ping('x', { rsv })], [], 1002);
  add('reserved bits', `${rsv} in a close frame`, [frame(8, bytes(3, 232), { rsv })], [], 1002);
  add('reserved bits', `${rsv} in a continuation`, [text('a', part), continuation('b', { rsv })], [], 1002);
}
for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
  add('opcode', `${opcode} is reserved`, [frame(opcode, '')], [], 1002);
  add('opcode', `${opcode} with a payload behind a good message`, [text('good'), frame(opcode, 'x'), ping('never')],
      [['text', 'good']], 1002);
  add('opcode', `${opcode} inside a fragmented message`, [text('a', part), frame(opcode, ''), continuation('b')], [], 1002);
}
for (const [name, unmasked] of [
  ['text', text('x', { masked: false })], ['binary', binary('x', { masked: false })],
  ['empty text', text('', { masked: false })], ['ping', ping('', { masked: false })],
  ['pong', pong('', { masked: false })], ['close', close(1000, '', { masked: false })],
]) {
  add('masking', `${name} without a mask`, [unmasked, ping('never')], [], 1002);
}
add('masking', 'a continuation without a mask', [text('a', part), continuation('b', { masked: false })], [], 1002);
for (const [name, lying] of [
  ['5 bytes in 16 bits', text('hello', { lengthForm: 16 })], ['125 bytes in 16 bits', text('x'.repeat(125), { lengthForm: 16 })],
  ['5 bytes in 64 bits', text('hello', { lengthForm: 64 })], ['126 bytes in 64 bits', text('x'.repeat(126), { lengthForm: 64 })],
  ['65,535 bytes in 64 bits', binary(filled(65535), { lengthForm: 64 })],
  ['a ping of 5 bytes in 16 bits', ping('hello', { lengthForm: 16 })],
]) {
  add('length', `not the shortest: ${name}`, [lying], [], 1002);
}
add('length', 'with the highest bit set', [binary('', { length: 0x8000000000000000n, lengthForm: 64 })], [], 1002);
add('length', 'of 2^62', [binary('', { length: 1n << 62n, lengthForm: 64 })], [], 1009);
add('length', 'of 4 GiB', [binary('', { length: 1n << 32n, lengthForm: 64 })], [], 1009);

// --- Fragments (section 5.4) -----------------------------------------------------------------------------------------------

add('fragments', 'two of text', [text('frag', part), continuation('ment')], [['text', 'fragment']]);
add('fragments', 'two of binary', [binary('frag', part), continuation('ment')], [['binary', Buffer.from('fragment')]]);
add('fragments', 'empty ones', [text('', part), continuation('', part), continuation('')], [['text', '']]);
add('fragments', 'empty, full, empty', [text('', part), continuation('middle', part), continuation('')], [['text', 'middle']]);
add('fragments', 'a ping between', [text('a', part), ping('p'), continuation('b')],
    [['pong', Buffer.from('p')], ['text', 'ab']]);
add('fragments', 'a pong between', [text('a', part), pong('p'), continuation('b')], [['text', 'ab']]);
add('fragments', 'pings everywhere',
    [text('1', part), ping('p1'), continuation('2', part), continuation('3', part), ping('p2'), continuation('4')],
    [['pong', Buffer.from('p1')], ['pong', Buffer.from('p2')], ['text', '1234']]);
add('fragments', 'a hundred of one byte',
    [text('a', part), ...Array.from({ length: 98 }, () => continuation('b', part)), continuation('c')],
    [['text', `a${'b'.repeat(98)}c`]]);
add('fragments', 'two messages, one after the other',
    [text('a', part), continuation('b'), binary('c', part), continuation('d')],
    [['text', 'ab'], ['binary', Buffer.from('cd')]]);
add('fragments', 'a whole message behind a fragmented one', [text('a', part), continuation('b'), text('c')],
    [['text', 'ab'], ['text', 'c']]);
add('fragments', 'a continuation of nothing', [continuation('x')], [], 1002);
add('fragments', 'an unfinished continuation of nothing', [continuation('x', part)], [], 1002);
add('fragments', 'a continuation of nothing, a text behind it', [continuation('x', part), text('a')], [], 1002);
add('fragments', 'a continuation behind a whole message', [text('a'), continuation('x')], [['text', 'a']], 1002);
add('fragments', 'a continuation behind a finished one', [text('a', part), continuation('b'), continuation('c')],
    [['text', 'ab']], 1002);
add('fragments', 'a text inside a text', [text('a', part), text('b')], [], 1002);
add('fragments', 'a text inside a binary', [binary('a', part), text('b')], [], 1002);
add('fragments', 'a binary inside a text', [text('a', part), binary('b', part)], [], 1002);
add('fragments', 'a text inside, behind a continuation', [text('a', part), continuation('b', part), text('c')], [], 1002);
add('fragments', 'a fragmented close frame', [frame(8, bytes(3, 232), part)], [], 1002);
add('fragments', 'a close between', [text('a', part), close(1000), continuation('b')], [], 1000);
add('fragments', 'a ping with a reserved bit between', [text('a', part), ping('', { rsv: 1 }), continuation('b')], [], 1002);

// --- UTF-8 (section 8.1) ---------------------------------------------------------------------------------------------------

// Every well-formed sequence of RFC 3629 at its borders.
const goodTexts = {
  'the Greek word kosme': 'κόσμε', 'two bytes, first': '\u0080', 'two bytes, last': '\u07ff', 'three bytes, first': '\u0800',
  'before the surrogates': '\ud7ff', 'behind the surrogates': '\ue000', 'the replacement character': '\ufffd',
  'a non-character U+FFFE': '\ufffe', 'a non-character U+FFFF': '\uffff', 'four bytes, first': '\u{10000}',
  'four bytes, last': '\u{10ffff}', 'a NUL': '\0', 'the last of one byte': '\x7f', 'a byte order mark': '\ufeffx',
  'mixed': 'Hello-µ@ßöäüàá-UTF-8!!', 'emoji': '😀👩‍👩‍👧‍👦', 'a long one': 'aé€😀'.repeat(500),
};
for (const [name, good] of Object.entries(goodTexts)) {
  const whole = Buffer.from(good);
  add('UTF-8', `good: ${name}`, [text(whole)], [['text', good]]);
  if (whole.length > 1 && whole.length < 64) {
    const pieces = [...whole].map((byte, i) =>
        frame(i === 0 ? 1 : 0, bytes(byte), { fin: i === whole.length - 1 }));
    add('UTF-8', `good: ${name}, a byte a fragment`, pieces, [['text', good]]);
  }
}
const badTexts = {
  'a lone continuation byte 80': '80', 'a lone continuation byte bf': 'bf', 'two lone continuation bytes': '80bf',
  'a start byte and a space: c0': 'c020', 'a start byte and a space: c3': 'c320', 'a start byte and a space: e1': 'e120',
  'a start byte and a space: f1': 'f120', 'f8': 'f888808080', 'fc': 'fc8480808080', 'fe': 'fe', 'ff': 'ff', 'fe fe ff ff': 'fefeffff',
  'overlong slash in two': 'c0af', 'overlong slash in three': 'e080af', 'overlong slash in four': 'f08080af',
  'overlong c1 bf': 'c1bf', 'overlong e0 9f bf': 'e09fbf', 'overlong f0 8f bf bf': 'f08fbfbf', 'overlong NUL': 'c080',
  'a surrogate d800': 'eda080', 'a surrogate db7f': 'edadbf', 'a surrogate dfff': 'edbfbf', 'a pair of surrogates': 'eda080edb080',
  'above 10ffff': 'f4908080', 'f5': 'f5808080', 'f7': 'f7bfbfbf', 'a start byte inside': 'e2e282ac', 'three bytes, one short, then a letter': 'e28241',
  'four bytes, one short, then a letter': 'f09f9841',
};
for (const [name, digits] of Object.entries(badTexts)) {
  add('UTF-8', `bad: ${name}`, [text(hex(digits)), ping('never')], [], 1007);
  add('UTF-8', `bad: ${name}, behind good text and a good message`,
      [text('good'), text(Buffer.concat([Buffer.from('κόσμε'), hex(digits), Buffer.from('edited')]))],
      [['text', 'good']], 1007);
  add('UTF-8', `bad: ${name}, a byte a fragment, no end`,
      [text('', part), ...[...hex(digits)].map((byte) => continuation(bytes(byte), part)),
        // Cut off behind the bad octet as far as the message goes: it must fail without an end.
        continuation(bytes(0x20), part)], [], 1007);
  add('UTF-8', `binary may hold: ${name}`, [binary(hex(digits))], [['binary', hex(digits)]]);
}
for (const [name, digits] of [['two bytes', 'c3'], ['three bytes', 'e282'], ['four bytes', 'f09f98'], ['one of four', 'f0']]) {
  add('UTF-8', `a message that ends inside a character of ${name}`, [text(hex(digits))], [], 1007);
  add('UTF-8', `fragments that end inside a character of ${name}`, [text(hex(digits), part), continuation('')], [], 1007);
}
// Fail fast: the frame announces more, the rest is never sent, and the bad octet alone must end it.
for (const [name, digits] of [['a bad start byte', 'ff'], ['overlong', 'c0'], ['a surrogate', 'eda0'], ['above 10ffff', 'f490'],
  ['a letter in a character', 'e241']]) {
  const whole = text(Buffer.concat([Buffer.from('κόσμε'), hex(digits), filled(1000, 0x61)]));
  const header = 2 + 2 + 4;
  add('UTF-8', `fails at the bad octet of an unfinished frame: ${name}`,
      [whole.subarray(0, header + Buffer.byteLength('κόσμε') + digits.length / 2)], [], 1007);
}
add('UTF-8', 'fails at the bad octet of an unfinished message',
    [text('κόσμε', part), continuation(hex('f4908080'), part)], [], 1007);

// --- Close (section 5.5.1 and 7.4) --------------------------------------------------------------------------------------------

add('close', 'without a status', [close()], [], null, { nullMayBe: 1000 });
add('close', 'with a status', [close(1000)], [], 1000);
add('close', 'with a reason', [close(1000, 'Hello World!')], [], 1000);
add('close', 'with the longest reason', [close(1000, '*'.repeat(123))], [], 1000);
add('close', 'with a reason that is too long', [close(1000, '*'.repeat(124))], [], 1002);
add('close', 'with one byte', [frame(8, bytes(3))], [], 1002);
add('close', 'with a reason that is not UTF-8', [frame(8, Buffer.concat([bytes(3, 232), hex('cebae1bdb9cf83eda080')]))], [], 1007);
add('close', 'with a reason that ends inside a character', [frame(8, bytes(3, 232, 0xe2, 0x82))], [], 1007);
add('close', 'behind a message', [text('a'), close(1000)], [['text', 'a']], 1000);
add('close', 'a message behind it is not answered', [close(1000), text('never')], [], 1000);
add('close', 'a ping behind it is not answered', [close(1000), ping('never')], [], 1000);
add('close', 'twice', [close(1000), close(1000)], [], 1000);
add('close', 'behind 256 KiB', [text('x'.repeat(256 << 10)), close(1000), ping('never')],
    [['text', 'x'.repeat(256 << 10)]], 1000);
for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
  add('close', `status ${code} is good`, [close(code)], [], code);
}
for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
  add('close', `status ${code} is refused`, [close(code)], [], 1002);
}

export const websocketFrames = cases;
