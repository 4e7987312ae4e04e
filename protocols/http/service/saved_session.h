#pragma once

#include <cstdint>
#include <string_view>

namespace ringmaster::http {

// What sessions of an http::Service write when their connection moves to another process
// (Session::Save), and Service::Restore reads:
//
//   "http"  kRequests  Part: of HttpSession::Save
//   "http"  kUpgraded  pattern of the route  Part: of UpgradeRoute::SaveUpgraded
//
// The part's version grows with what is appended to it and may be left out by an older release;
// what no older release may leave out gets a kind of its own, which it refuses.
inline constexpr std::string_view kSavedTag = "http";
enum class SavedKind : uint8_t { kRequests = 1, kUpgraded = 2 };

}  // namespace ringmaster::http
