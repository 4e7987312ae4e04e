#include "engine/base/log.h"
#include "gtest/gtest.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // Faults make the engine warn, as it should.
  if (!ringmaster::log::Setup("off", "text", "", "faults").ok()) return 1;
  return RUN_ALL_TESTS();
}
