#pragma once

// A protocol of your own: three functions (FramedProtocol), or a Session that sees every byte.
#include "engine/framed_protocol.h"
#include "engine/process/main.h"
#include "engine/protocol.h"
#include "engine/worker/worker.h"
