#include "engine/stats/counters.h"

#include <string>
#include <vector>

#include "engine/base/check.h"

namespace ringmaster {
namespace {

struct Entry {
  std::string name;
  std::string description;
  FigureKind kind;
  std::string family_name;
  std::string family_description;
  std::string label;
  std::string label_value;
};

// Inside a function, because protocols register while static objects are still being constructed.
std::vector<Entry>& Entries() {
  static std::vector<Entry> entries;
  return entries;
}

const Entry& At(int slot) {
  CHECK(slot >= 0);
  CHECK(slot < CounterNames::count());
  return Entries()[static_cast<size_t>(slot)];
}

}  // namespace

int CounterNames::Register(std::string_view name, std::string_view description, FigureKind kind,
                           const FigureFamily& family) {
  CHECK(count() < kProtocolCounterCount);
  Entries().push_back({std::string(name), std::string(description), kind, std::string(family.name),
                       std::string(family.description), std::string(family.label),
                       std::string(family.value)});
  return count() - 1;
}

int CounterNames::count() { return static_cast<int>(Entries().size()); }
std::string_view CounterNames::name(int slot) { return At(slot).name; }
std::string_view CounterNames::description(int slot) { return At(slot).description; }
FigureKind CounterNames::kind(int slot) { return At(slot).kind; }

FigureFamily CounterNames::family(int slot) {
  const Entry& entry = At(slot);
  return {entry.family_name, entry.family_description, entry.label, entry.label_value};
}

}  // namespace ringmaster
