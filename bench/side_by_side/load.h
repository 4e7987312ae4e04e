#ifndef BENCH_SIDE_BY_SIDE_LOAD_H_
#define BENCH_SIDE_BY_SIDE_LOAD_H_

#include <cstdint>
#include <string>

namespace side_by_side {

// How long one slice goes on. Whichever bound is met first stops new requests; the slice is over
// when every request sent has been answered, so each request a server worked on is counted.
struct SliceBounds {
  double seconds = 1.0;
  uint64_t answers_max = UINT64_MAX;
};

// Something that loads a server in slices and keeps its connections between them.
class Load {
 public:
  virtual ~Load() = default;

  // Returns the number of verified answers. Throws std::runtime_error on a wrong answer, a closed
  // connection, or no progress for ten seconds past the slice's end.
  virtual uint64_t RunSlice(const SliceBounds& bounds) = 0;

  // Further figures of the last slice, as members of a JSON object; empty = none.
  virtual std::string DetailsJson() const { return {}; }
};

}  // namespace side_by_side

#endif  // BENCH_SIDE_BY_SIDE_LOAD_H_
