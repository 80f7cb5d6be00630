// Exact search of many queries at once: tiles of queries against tiles of rows. Floor 3.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/monitor.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

struct ExactScan {
  const VectorStore& vectors;
  const kernels::DistanceKernels& kernels;
  std::size_t dim;
  const NodeBitset* passing;  // null: all
  const std::byte* queries;   // prepared, query_stride_bytes apart
  std::size_t query_stride_bytes;
  std::size_t query_count;
  std::size_t k;
  std::size_t threads;
  Monitor* monitor;
};

// Calls emit(query, k nearest, nearest first) once for each query, from several threads.
void exact_scan(const ExactScan& scan, const std::function<void(std::size_t, std::span<const Neighbor>)>& emit);

}  // namespace fastcbir
