#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/connection/connection_record.h"
#include "engine/limits/cidr_set.h"

namespace ringmaster {

// The connections of all workers at one moment, as the master answers (ConnectionInquiry).
struct ConnectionListing {
  struct Worker {
    uint32_t index = 0;
    std::string state;  // "listed", "busy", "gone"
    uint64_t count = 0;
  };
  TimePoint now = 0;
  std::vector<Worker> workers;
  std::vector<ConnectionRecord> records;

  // Errors: kInternal for an answer of another release, or one that is cut short.
  static absl::StatusOr<ConnectionListing> Parse(std::string_view answer);
};

// Which connections to show, and in which order.
struct ConnectionQuery {
  // "id", "worker", "protocol", "peer", "age", "idle", "in", "out", "messages", "queue",
  // "deadline", "state". Figures come largest first (deadline: nearest first), the rest in its
  // natural order; equal ones by id.
  std::string sort = "id";
  std::optional<uint64_t> top;
  std::optional<uint32_t> worker;
  CidrSet peers;  // empty = all
  std::string protocol;
  std::string state;
  Duration idle_min{};
  Duration age_min{};
  uint64_t queue_bytes_min = 0;

  // From options such as {"--sort", "idle"}. Errors: kInvalidArgument, with what would be right.
  static absl::StatusOr<ConnectionQuery> FromOptions(
      const std::vector<std::pair<std::string, std::string>>& options);
  // "--sort", "--top", ...: all of them take a value.
  static bool IsOption(std::string_view word);
};

// Those that match, in order, no more than `top`.
std::vector<ConnectionRecord> Select(const std::vector<ConnectionRecord>& records,
                                     const ConnectionQuery& query, TimePoint now);

// For people: a table, and below it how many there are and who did not answer.
std::string ConnectionsTable(const ConnectionListing& listing,
                             const std::vector<ConnectionRecord>& selected);
// For programs: ids as in the table, times in seconds.
std::string ConnectionsJson(const ConnectionListing& listing,
                            const std::vector<ConnectionRecord>& selected);

}  // namespace ringmaster
