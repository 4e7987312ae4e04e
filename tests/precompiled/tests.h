// As engine/precompiled/engine.h, for test code.
// A guard: g++ warns of #pragma once in what it precompiles.
#ifndef RINGMASTER_TESTS_PRECOMPILED_TESTS_H_
#define RINGMASTER_TESTS_PRECOMPILED_TESTS_H_

#include "engine/precompiled/engine.h"
#include "gtest/gtest.h"

#endif  // RINGMASTER_TESTS_PRECOMPILED_TESTS_H_
