#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/engine/faults/chaos_round.h"
#include "tests/engine/simulation/random.h"

namespace ringmaster::faults {

// What one client does, step by step.
struct Step {
  enum class Kind : uint8_t {
    kSend,      // `text`
    kPause,     // `number` milliseconds
    kAwait,     // until `text` was received `number` times
    kFinish,    // FIN; reading goes on
    kAwaitEnd,  // until the server's FIN; `text`, if any, is then exactly what was received
    kReset,     // RST
  };
  Kind kind;
  std::string text;
  uint32_t number = 0;
};

struct Script {
  Behaviour behaviour = Behaviour::kSilent;
  bool lines = false;       // to the port of lines
  uint32_t bite_bytes = 0;  // reads no more than this at a time, with a pause behind; 0 = greedily
  std::vector<Step> steps;  // behind the last one the client closes
};

Script DrawScript(simulation::Random& random);

}  // namespace ringmaster::faults
