// SearchProgress: what a search has done so far; stop policies read it, results report it. Floor 3.
#pragma once

#include <cstdint>

namespace fastcbir {

struct SearchProgress {
  std::uint32_t distances = 0;   // vectors compared with the query
  std::uint32_t expansions = 0;  // nodes expanded, or lists scanned
};

}  // namespace fastcbir
