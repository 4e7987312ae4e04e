#pragma once

namespace ringmaster::faults {

// The client's process: plays the rounds that come in by `control` (a ChaosRound each) and answers
// each with a ChaosTally, until the other end is closed. Knows nothing of the engine.
void RunChaosClient(int control);

}  // namespace ringmaster::faults
