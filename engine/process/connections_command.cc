#include "engine/process/connections_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "engine/connection/connection_id.h"
#include "engine/process/command_failure.h"
#include "engine/process/connection_listing.h"
#include "engine/process/control_client.h"

namespace ringmaster {
namespace {

void Print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

int ConnectionsCommand(const std::string& control_socket, const CommandLine& line) {
  const absl::StatusOr<ConnectionQuery> query = ConnectionQuery::FromOptions(line.filters);
  if (!query.ok()) return Fail(query.status(), kWrongUsage);
  const absl::StatusOr<std::string> answer =
      AskMaster(control_socket, "connections", kAnswerTimeout);
  if (!answer.ok()) return Fail(answer.status(), kFailed);
  const absl::StatusOr<ConnectionListing> listing = ConnectionListing::Parse(*answer);
  if (!listing.ok()) return Fail(listing.status(), kFailed);
  const std::vector<ConnectionRecord> selected = Select(listing->records, *query, listing->now);
  Print(line.json ? ConnectionsJson(*listing, selected) : ConnectionsTable(*listing, selected));
  return 0;
}

int KillCommand(const std::string& control_socket, const CommandLine& line) {
  if (line.ids.empty()) {
    return Fail("name the connections to close, by their ids as `connections` shows them",
                kWrongUsage);
  }
  int exit_status = 0;
  for (const std::string& id : line.ids) {
    const absl::StatusOr<std::string> answer =
        AskMaster(control_socket, fmt::format("kill {}", id), kAnswerTimeout);
    if (answer.ok()) {
      Print(*answer);
    } else {
      // AskMaster leaves the line feed of an error.
      std::string reason(answer.status().message());
      while (reason.ends_with('\n')) reason.pop_back();
      exit_status = Fail(reason, kFailed);
    }
  }
  return exit_status;
}

}  // namespace ringmaster
