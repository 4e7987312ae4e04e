#pragma once

#include <string_view>

#include "protocols/http/service/request.h"
#include "protocols/http/service/response.h"

// Who may read the admin listener. Each Refuse function answers and returns true when the request
// must not be served.

namespace ringmaster::web {

// 401 unless the request carries `Authorization: Bearer TOKEN` (RFC 6750 §2.1) with this token,
// compared in a time that says nothing about where they differ. An empty token admits everybody.
bool RefuseToken(const http::Request& request, http::Response& response, std::string_view token);

// 421 for a request to a listener on loopback or on a unix socket whose Host is a name and not
// "localhost": a page of somebody else's, in a browser on this machine, whose name was made to
// resolve to 127.0.0.1 (DNS rebinding), where the listener or a tunnel to the socket (`ssh -L`)
// waits. `address` is AdminOptions::address.
bool RefuseHost(const http::Request& request, http::Response& response, std::string_view address);

// The token of an Authorization field; empty when it is not of the scheme Bearer.
std::string_view BearerToken(std::string_view field);
// True for localhost, names below it, and IP addresses, with or without a port; and for no host at
// all (HTTP/1.0).
bool IsLocalOrLiteralHost(std::string_view host);

}  // namespace ringmaster::web
