#include "protocols/websocket/codec/accept_key.h"

#include <nettle/sha1.h>

#include <cstdint>
#include <string>

namespace ringmaster::websocket {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

}  // namespace

AcceptKey ComputeAcceptKey(std::string_view key) {
  std::string text(key);
  text += kGuid;
  // One spare zero byte: 20 bytes are six groups of three and a last one of two.
  uint8_t digest[SHA1_DIGEST_SIZE + 1] = {};
  sha1_ctx hash;
  sha1_init(&hash);
  sha1_update(&hash, text.size(), reinterpret_cast<const uint8_t*>(text.data()));
  sha1_digest(&hash, SHA1_DIGEST_SIZE, digest);
  AcceptKey accept;
  for (size_t in = 0, out = 0; in < sizeof(digest); in += 3, out += 4) {
    const uint32_t group = static_cast<uint32_t>(digest[in]) << 16 |
                           static_cast<uint32_t>(digest[in + 1]) << 8 | digest[in + 2];
    accept[out] = kBase64[group >> 18];
    accept[out + 1] = kBase64[group >> 12 & 63];
    accept[out + 2] = kBase64[group >> 6 & 63];
    accept[out + 3] = kBase64[group & 63];
  }
  accept.back() = '=';
  return accept;
}

bool IsHandshakeKey(std::string_view key) {
  if (key.size() != 24 || key.substr(22) != "==") return false;
  for (const char c : key.substr(0, 22)) {
    if (kBase64.find(c) == std::string_view::npos) return false;
  }
  return (kBase64.find(key[21]) & 15) == 0;
}

}  // namespace ringmaster::websocket
