#pragma once

namespace ringmaster::websocket {

// Counts calls of operator new while it lives; allocation_count.cc replaces the operator.
class AllocationCount {
 public:
  AllocationCount();
  ~AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;

  int value() const;
};

}  // namespace ringmaster::websocket
