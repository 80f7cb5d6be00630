// What users choose when they make an index or search one. Floor 5.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastcbir/build/hnsw_params.hpp"
#include "fastcbir/core/monitor.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/stop/stop_model.hpp"

namespace fastcbir {

inline constexpr std::size_t max_k = 10000;
inline constexpr std::size_t default_ef = 64;

struct AllowList {
  const Id* ids = nullptr;  // null: every id may be returned
  std::size_t count = 0;
  const bool* mask = nullptr;  // or: mask[id]
  std::size_t mask_size = 0;

  bool given() const { return ids != nullptr || mask != nullptr; }
};

struct SearchOptions {
  std::size_t ef = 0;             // HNSW: 0 means the larger of k and default_ef
  std::size_t nprobe = 0;         // inverted lists: how many to visit; 0 lets the index choose
  std::size_t rerank = 0;         // lists with codes: how many to compare exactly; 0 lets the index choose
  std::size_t max_distances = 0;  // 0 means no limit
  StopTarget target;              // instead of the limits above
  AllowList allow;
  std::size_t threads = 0;  // 0 means all cores
  Monitor* monitor = nullptr;
};

struct WorkOptions {
  std::size_t threads = 0;
  Monitor* monitor = nullptr;
};

}  // namespace fastcbir
