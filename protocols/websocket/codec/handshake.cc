#include "protocols/websocket/codec/handshake.h"

#include <algorithm>

#include "protocols/websocket/codec/field_list.h"

namespace ringmaster::websocket {
namespace {

void SkipBlanks(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

bool SkipToken(std::string_view& text) {
  size_t length = 0;
  while (length < text.size() && IsTokenChar(text[length])) ++length;
  text.remove_prefix(length);
  return length > 0;
}

// RFC 6455 section 9.1: a quoted value must be a token once its quoting is undone.
bool SkipQuotedToken(std::string_view& text) {
  text.remove_prefix(1);
  size_t length = 0;
  while (!text.empty() && text.front() != '"') {
    if (text.front() == '\\') text.remove_prefix(1);
    if (text.empty() || !IsTokenChar(text.front())) return false;
    text.remove_prefix(1);
    ++length;
  }
  if (text.empty() || length == 0) return false;
  text.remove_prefix(1);
  return true;
}

// extension = token *( ";" token [ "=" ( token / quoted-string ) ] )
bool SkipExtension(std::string_view& text) {
  if (!SkipToken(text)) return false;
  for (SkipBlanks(text); !text.empty() && text.front() == ';'; SkipBlanks(text)) {
    text.remove_prefix(1);
    SkipBlanks(text);
    if (!SkipToken(text)) return false;
    SkipBlanks(text);
    if (text.empty() || text.front() != '=') continue;
    text.remove_prefix(1);
    SkipBlanks(text);
    const bool quoted = !text.empty() && text.front() == '"';
    if (!(quoted ? SkipQuotedToken(text) : SkipToken(text))) return false;
  }
  return true;
}

// The offers are not used, but a malformed field is a malformed handshake (section 9.1).
bool IsExtensionList(std::string_view text) {
  bool any = false;
  while (true) {
    SkipBlanks(text);
    if (text.empty()) return any;
    if (text.front() != ',') {
      if (!SkipExtension(text)) return false;
      any = true;
      if (!text.empty() && text.front() != ',') return false;
    }
    if (!text.empty()) text.remove_prefix(1);
  }
}

bool CheckExtensions(const http::RequestHead& head) {
  for (uint32_t i = 0; i < head.field_count; ++i) {
    const http::Field& field = head.fields[i];
    if (!EqualsIgnoreCase(field.name, "Sec-WebSocket-Extensions")) continue;
    if (!IsExtensionList(field.value)) return false;
  }
  return true;
}

// False when the field is malformed. Subprotocol names are compared with their case.
bool ChooseSubprotocol(const http::RequestHead& head, std::span<const std::string> supported,
                       std::string_view& chosen) {
  for (uint32_t i = 0; i < head.field_count; ++i) {
    const http::Field& field = head.fields[i];
    if (!EqualsIgnoreCase(field.name, "Sec-WebSocket-Protocol")) continue;
    std::string_view list = field.value;
    bool any = false;
    while (const auto offer = NextListElement(list)) {
      if (!IsToken(*offer)) return false;
      any = true;
      const auto found = std::find(supported.begin(), supported.end(), *offer);
      if (chosen.empty() && found != supported.end()) chosen = *found;
    }
    if (!any) return false;
  }
  return true;
}

HandshakeError CheckVersion(const http::RequestHead& head) {
  const FieldLines version = FindFieldLines(head, "Sec-WebSocket-Version");
  if (version.count == 0) return HandshakeError::kVersionMissing;
  if (version.count > 1) return HandshakeError::kVersionRepeated;
  return version.first == "13" ? HandshakeError::kNone : HandshakeError::kVersionUnsupported;
}

HandshakeError CheckKey(const FieldLines& key) {
  if (key.count == 0) return HandshakeError::kKeyMissing;
  if (key.count > 1) return HandshakeError::kKeyRepeated;
  return IsHandshakeKey(key.first) ? HandshakeError::kNone : HandshakeError::kKeyInvalid;
}

}  // namespace

Handshake CheckHandshake(const http::RequestHead& head, std::span<const std::string> supported) {
  Handshake handshake;
  HandshakeError& error = handshake.error;
  const FieldLines key = FindFieldLines(head, "Sec-WebSocket-Key");
  if (head.method != "GET") {
    error = HandshakeError::kMethod;
  } else if (head.version_minor < 1) {
    // RFC 9110 section 7.8: an Upgrade in HTTP/1.0 must be ignored, and RFC 6455 section 4.2.1 asks
    // for 1.1; 505 would say that we do not speak HTTP/1.0 at all.
    error = HandshakeError::kHttpVersion;
  } else if (!ListFieldHas(head, "Upgrade", "websocket")) {
    error = HandshakeError::kUpgrade;
  } else if (!ListFieldHas(head, "Connection", "upgrade")) {
    error = HandshakeError::kConnection;
  } else if (const HandshakeError version = CheckVersion(head); version != HandshakeError::kNone) {
    error = version;
  } else if (const HandshakeError bad_key = CheckKey(key); bad_key != HandshakeError::kNone) {
    error = bad_key;
  } else if (head.host.empty()) {
    error = HandshakeError::kHost;
  } else if (head.body_framing == http::BodyFraming::kChunked || head.content_length > 0) {
    error = HandshakeError::kBody;
  } else if (!CheckExtensions(head)) {
    error = HandshakeError::kExtensions;
  } else if (!ChooseSubprotocol(head, supported, handshake.subprotocol)) {
    error = HandshakeError::kSubprotocols;
  } else {
    handshake.accept_key = ComputeAcceptKey(key.first);
  }
  return handshake;
}

int HandshakeErrorStatus(HandshakeError error) {
  switch (error) {
#define RINGMASTER_ERROR_STATUS(name, status, reason) \
  case HandshakeError::k##name:                       \
    return status;
    RINGMASTER_WEBSOCKET_HANDSHAKE_ERRORS(RINGMASTER_ERROR_STATUS)
#undef RINGMASTER_ERROR_STATUS
    case HandshakeError::kNone:
      break;
  }
  return 101;
}

std::string_view HandshakeErrorReason(HandshakeError error) {
  switch (error) {
#define RINGMASTER_ERROR_REASON(name, status, reason) \
  case HandshakeError::k##name:                       \
    return reason;
    RINGMASTER_WEBSOCKET_HANDSHAKE_ERRORS(RINGMASTER_ERROR_REASON)
#undef RINGMASTER_ERROR_REASON
    case HandshakeError::kNone:
      break;
  }
  return "";
}

std::string_view HandshakeErrorFields(HandshakeError error) {
  switch (error) {
    case HandshakeError::kMethod:
      return "Allow: GET\r\n";
    case HandshakeError::kUpgrade:
      // RFC 9110 section 15.5.22: a 426 names the protocol in Upgrade, and section 7.8: Connection
      // then lists upgrade.
      return "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    case HandshakeError::kVersionUnsupported:
      // RFC 6455 section 4.4.
      return "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    default:
      return "";
  }
}

std::string_view HandshakeErrorName(HandshakeError error) {
  switch (error) {
    case HandshakeError::kNone:
      return "none";
    case HandshakeError::kMethod:
      return "method";
    case HandshakeError::kHttpVersion:
      return "http_version";
    case HandshakeError::kUpgrade:
      return "upgrade";
    case HandshakeError::kConnection:
      return "connection";
    case HandshakeError::kVersionMissing:
      return "version_missing";
    case HandshakeError::kVersionRepeated:
      return "version_repeated";
    case HandshakeError::kVersionUnsupported:
      return "version_unsupported";
    case HandshakeError::kKeyMissing:
      return "key_missing";
    case HandshakeError::kKeyRepeated:
      return "key_repeated";
    case HandshakeError::kKeyInvalid:
      return "key_invalid";
    case HandshakeError::kHost:
      return "host";
    case HandshakeError::kBody:
      return "body";
    case HandshakeError::kExtensions:
      return "extensions";
    case HandshakeError::kSubprotocols:
      return "subprotocols";
  }
  return "unknown";
}

std::string FormatHandshakeResponse(const Handshake& handshake, std::string_view fields) {
  std::string response =
      "HTTP/1.1 101 Switching Protocols\r\n"
      "Upgrade: websocket\r\n"
      "Connection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ";
  response.append(handshake.accept_key.data(), handshake.accept_key.size());
  response += "\r\n";
  if (!handshake.subprotocol.empty()) {
    response += "Sec-WebSocket-Protocol: ";
    response += handshake.subprotocol;
    response += "\r\n";
  }
  response += fields;
  response += "\r\n";
  return response;
}

}  // namespace ringmaster::websocket
