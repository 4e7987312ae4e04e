#include "engine/limits/shared_limits.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/base/check.h"

namespace ringmaster {
namespace {

constexpr size_t LineRounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

uint32_t GateCount(const ServerDefinition& server) {
  return 1 + static_cast<uint32_t>(server.listeners().size());
}

}  // namespace

struct alignas(64) SharedLimits::Header {
  uint64_t bytes;
  uint32_t gate_count;
  uint32_t worker_count;
  uint32_t table_entries;
};

// A line of its own each: listeners that are not limited together do not slow each other down.
struct alignas(64) SharedLimits::Gate {
  std::atomic<uint64_t> count;
  std::atomic<int64_t> arrival;
};

// Where the parts begin.
struct SharedLimits::Layout {
  Layout(const ServerDefinition& server, uint32_t worker_count)
      : waiting(sizeof(Header) + GateCount(server) * sizeof(Gate)),
        book(waiting +
             LineRounded(GateCount(server) * size_t{worker_count} * sizeof(std::atomic<uint16_t>))),
        table(book + ContributionBook::BytesFor(GateCount(server), worker_count)),
        bytes(table + (server.options.address.limited()
                           ? AddressTable::BytesFor(server.options.address, worker_count)
                           : 0)) {}
  size_t waiting;
  size_t book;
  size_t table;
  size_t bytes;
};

bool SharedLimits::NeededBy(const ServerDefinition& server) {
  const ServerOptions& options = server.options;
  return options.connections_max > 0 || options.accept_rate.limited() ||
         options.address.limited() ||
         std::any_of(server.listeners().begin(), server.listeners().end(),
                     [](const auto& listener) {
                       return listener->connections_max > 0 || listener->accept_rate.limited();
                     });
}

absl::StatusOr<std::unique_ptr<SharedLimits>> SharedLimits::Create(const ServerDefinition& server,
                                                                   uint32_t worker_count) {
  const Layout layout(server, worker_count);
  UniqueFd fd(::memfd_create("ringmaster-limits", MFD_CLOEXEC));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(layout.bytes)) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make the shared memory for limits");
  }
  // Pages appear when they are touched: a large table costs what its addresses use.
  void* memory = ::mmap(nullptr, layout.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "cannot map the shared limits");
  auto* const bytes = static_cast<std::byte*>(memory);
  *reinterpret_cast<Header*>(bytes) = {layout.bytes, GateCount(server), worker_count,
                                       server.options.address.table_entries};
  if (server.options.address.limited()) AddressTable::Format(bytes + layout.table);
  return std::unique_ptr<SharedLimits>(
      new SharedLimits(std::move(fd), bytes, server, worker_count));
}

absl::StatusOr<std::unique_ptr<SharedLimits>> SharedLimits::Map(UniqueFd fd,
                                                                const ServerDefinition& server) {
  struct stat file = {};
  if (::fstat(fd.get(), &file) != 0) {
    return absl::ErrnoToStatus(errno, "the inherited shared limits are not there");
  }
  const auto size = static_cast<size_t>(file.st_size);
  const auto differ = [] {
    return absl::FailedPreconditionError(
        "master and worker do not have the same limits: stop the server and start it again");
  };
  if (size < sizeof(Header)) return differ();
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "cannot map the shared limits");
  auto* const bytes = static_cast<std::byte*>(memory);
  const Header& header = *reinterpret_cast<const Header*>(bytes);
  if (header.bytes != size || header.gate_count != GateCount(server) ||
      header.table_entries != server.options.address.table_entries ||
      Layout(server, header.worker_count).bytes != size) {
    ::munmap(memory, size);
    return differ();
  }
  return std::unique_ptr<SharedLimits>(
      new SharedLimits(std::move(fd), bytes, server, header.worker_count));
}

SharedLimits::SharedLimits(UniqueFd fd, std::byte* memory, const ServerDefinition& server,
                           uint32_t worker_count)
    : fd_(std::move(fd)),
      memory_(memory),
      bytes_(Layout(server, worker_count).bytes),
      server_(server),
      gate_count_(GateCount(server)),
      worker_count_(worker_count),
      book_(memory + Layout(server, worker_count).book, gate_count_, worker_count) {}

SharedLimits::~SharedLimits() { ::munmap(memory_, bytes_); }

uint32_t SharedLimits::worker_count() const { return worker_count_; }

SharedLimits::Gate& SharedLimits::gate(uint32_t index) const {
  DCHECK(index < gate_count_);
  return reinterpret_cast<Gate*>(memory_ + sizeof(Header))[index];
}

std::atomic<uint16_t>& SharedLimits::waiting(uint32_t index, uint32_t worker) const {
  const size_t begin = sizeof(Header) + gate_count_ * sizeof(Gate);
  return reinterpret_cast<std::atomic<uint16_t>*>(memory_ + begin)[index * worker_count_ + worker];
}

bool SharedLimits::Enter(uint32_t index, uint32_t max, uint32_t worker) {
  std::atomic<uint64_t>& shared = gate(index).count;
  uint64_t seen = shared.load();
  book_.Begin(worker, index);
  while (max == 0 || seen < max) {
    if (shared.compare_exchange_weak(seen, seen + 1)) {
      book_.End(worker, index, 1);
      return true;
    }
  }
  book_.End(worker, index, 0);
  return false;
}

void SharedLimits::Leave(uint32_t index, uint32_t worker) {
  book_.Begin(worker, index);
  const uint64_t before = gate(index).count.fetch_sub(1);
  DCHECK(before > 0);
  book_.End(worker, index, -1);
}

uint32_t SharedLimits::count(uint32_t index) const {
  return static_cast<uint32_t>(gate(index).count.load());
}

bool SharedLimits::AllowNew(uint32_t index, const Gcra& rate, TimePoint now) {
  return rate.Take(gate(index).arrival, now) == Duration::zero();
}

void SharedLimits::AddWaiting(uint32_t index, uint32_t worker, int change) {
  std::atomic<uint16_t>& own = waiting(index, worker);
  own.store(static_cast<uint16_t>(own.load(std::memory_order_relaxed) + change),
            std::memory_order_relaxed);
}

bool SharedLimits::OthersWait(uint32_t index, uint32_t worker) const {
  for (uint32_t other = 0; other < worker_count_; ++other) {
    if (other != worker && waiting(index, other).load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

std::unique_ptr<AddressTable> SharedLimits::Addresses(uint32_t worker, Counter& full) const {
  const AddressLimits& limits = server_.options.address;
  if (!limits.limited()) return nullptr;
  return std::make_unique<AddressTable>(memory_ + Layout(server_, worker_count_).table, limits,
                                        worker, worker_count_, full);
}

bool SharedLimits::TakeBack(uint32_t worker) {
  for (uint32_t i = 0; i < gate_count_; ++i) {
    waiting(i, worker).store(0, std::memory_order_relaxed);
  }
  bool settled = book_.TakeBack(
      worker, [this](uint32_t cell) -> std::atomic<uint64_t>& { return gate(cell).count; });
  Counter not_counted;
  if (const auto addresses = Addresses(worker, not_counted)) settled &= addresses->TakeBack(worker);
  return settled;
}

}  // namespace ringmaster
