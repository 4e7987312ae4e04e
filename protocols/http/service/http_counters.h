#pragma once

#include "engine/stats/counters.h"

namespace ringmaster::http {

// The slots in WorkerCounters::protocol of HTTP's figures.
struct HttpCounters {
  int requests;
  int upgrades;
  int responses[6];  // by class: [2] counts 200 to 299
  int refused_400, refused_404, refused_405, refused_408, refused_411, refused_413, refused_414,
      refused_417, refused_429, refused_431, refused_501, refused_505;

  // The slot that counts this status, or -1.
  int RefusalSlot(int status) const;

  // Registered at the first call.
  static const HttpCounters& Get();
};

}  // namespace ringmaster::http
