#pragma once

#include <string_view>

namespace ringmaster::web {

// The dashboard: one HTML document that loads nothing and reads `status.json` beside its own path,
// once a second. dashboard.html and the files it names, put together when the program is built.
std::string_view DashboardPage();

// The Content-Security-Policy to send with it.
std::string_view DashboardPolicy();

}  // namespace ringmaster::web
