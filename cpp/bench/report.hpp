// What one run of the kernel benchmark found, as a table for people and JSON for programs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fastcbir::bench {

// Times of one thing, nanoseconds a unit.
struct Times {
  double best = 0;
  double median = 0;
};

struct KernelResult {
  std::string isa, type, metric, shape;
  std::size_t dim = 0;
  std::size_t row_bytes = 0;  // padded
  Times distance;             // ns per distance
  Times load;                 // ns to load a row from the second-level cache and do nothing
  Times arithmetic;           // ns for the row's operations with all operands at hand

  double limit() const { return load.best > arithmetic.best ? load.best : arithmetic.best; }
  double share_of_limit() const { return limit() / distance.best; }
};

struct IsaResult {
  std::string isa;
  double fused_per_ns = 0;  // multiply-adds a nanosecond, on registers
};

std::string as_table(const std::vector<IsaResult>& isas, const std::vector<KernelResult>& results);
std::string as_json(const std::vector<IsaResult>& isas, const std::vector<KernelResult>& results,
                    std::size_t resident_bytes, std::size_t samples);

}  // namespace fastcbir::bench
