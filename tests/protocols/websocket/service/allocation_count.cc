#include "tests/protocols/websocket/service/allocation_count.h"

#include <cstdlib>
#include <new>

namespace {
bool counting = false;
int allocation_count = 0;
}  // namespace

// In a file of their own: inlined into a caller, they would look mismatched to the compiler.
void* operator new(size_t bytes) {
  if (counting) ++allocation_count;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace ringmaster::websocket {

AllocationCount::AllocationCount() {
  allocation_count = 0;
  counting = true;
}
AllocationCount::~AllocationCount() { counting = false; }
int AllocationCount::value() const { return allocation_count; }

}  // namespace ringmaster::websocket
