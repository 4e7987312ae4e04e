#include "protocols/http/codec/request_target.h"

#include "protocols/http/codec/authority.h"
#include "protocols/http/codec/characters.h"

namespace ringmaster::http {
namespace {

bool SplitAbsoluteForm(RequestHead& head) {
  const std::string_view target = head.target;
  size_t scheme_bytes = 0;
  if (EqualsIgnoreCase(target.substr(0, 7), "http://")) {
    scheme_bytes = 7;
  } else if (EqualsIgnoreCase(target.substr(0, 8), "https://")) {
    scheme_bytes = 8;
  } else {
    return false;
  }
  const std::string_view rest = target.substr(scheme_bytes);
  const size_t authority_bytes = rest.find_first_of("/?");
  const std::string_view authority = rest.substr(0, authority_bytes);
  // User information is refused with everything else that is no authority: RFC 9110 section 4.2.4
  // warns that it is used to disguise the host.
  if (!IsValidAuthority(authority)) return false;
  head.host = authority;
  const std::string_view path =
      authority_bytes == std::string_view::npos ? "" : rest.substr(authority_bytes);
  head.path = path.substr(0, path.find('?'));
  if (head.path.empty()) {
    // RFC 9112 section 3.2.4: OPTIONS of an authority alone is OPTIONS *.
    head.path = head.method == "OPTIONS" && path.empty() ? "*" : "/";
  }
  return true;
}

}  // namespace

bool SplitRequestTarget(size_t query_offset, RequestHead& head) {
  const std::string_view target = head.target;
  head.host = {};
  head.query = query_offset == 0 ? std::string_view() : target.substr(query_offset);
  if (target.front() == '/') {
    head.path = query_offset == 0 ? target : target.substr(0, query_offset - 1);
    return head.method != "CONNECT";
  }
  if (head.method == "CONNECT") {
    head.path = target;
    head.host = target;
    // authority-form is host and port, both.
    const size_t colon = target.rfind(':');
    return IsValidAuthority(target) && colon != std::string_view::npos &&
           target.find(']', colon) == std::string_view::npos && colon + 1 < target.size();
  }
  if (target == "*") {
    head.path = target;
    return head.method == "OPTIONS";
  }
  return SplitAbsoluteForm(head);
}

}  // namespace ringmaster::http
