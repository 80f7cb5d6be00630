// The vocabulary of the core: what a metric, a stored number, an id and a hit are. Floor 0: may import nothing of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace fastcbir {

// What "near" means. The core always works with distances: the smaller, the nearer.
//   l2      squared Euclidean distance
//   ip      negative inner product
//   cosine  1 - cosine similarity
enum class Metric : std::uint8_t { l2 = 0, ip = 1, cosine = 2 };

// How one coordinate is stored. A query has the stored type, but for f16 rows, which are compared with f32 queries.
enum class ScalarType : std::uint8_t { f32 = 0, f16 = 1, u8 = 2, i8 = 3 };

inline constexpr std::size_t metric_count = 3;
inline constexpr std::size_t scalar_type_count = 4;

constexpr std::size_t bytes_of(ScalarType type) {
  switch (type) {
    case ScalarType::f32: return 4;
    case ScalarType::f16: return 2;
    case ScalarType::u8:
    case ScalarType::i8: return 1;
  }
  return 0;
}

constexpr std::size_t query_bytes_of(ScalarType type) { return type == ScalarType::f16 ? 4 : bytes_of(type); }

constexpr const char* name_of(Metric metric) {
  switch (metric) {
    case Metric::l2: return "l2";
    case Metric::ip: return "ip";
    case Metric::cosine: return "cosine";
  }
  return "";
}

constexpr const char* name_of(ScalarType type) {
  switch (type) {
    case ScalarType::f32: return "float32";
    case ScalarType::f16: return "float16";
    case ScalarType::u8: return "uint8";
    case ScalarType::i8: return "int8";
  }
  return "";
}

// The user's own name of a vector, and the core's: nodes are numbered 0, 1, 2, ... in the order of insertion.
using Id = std::int64_t;
using NodeId = std::uint32_t;

inline constexpr Id no_id = -1;
inline constexpr NodeId no_node = std::numeric_limits<NodeId>::max();
inline constexpr float infinity = std::numeric_limits<float>::infinity();

// Rows start on cache lines and are zero-padded to whole ones, so that kernels need no tails.
inline constexpr std::size_t row_alignment = 64;

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

struct Neighbor {
  float distance = infinity;
  NodeId node = no_node;
};

// Nearer first; equal distances in the order of insertion, so that answers never depend on the path taken.
constexpr bool operator<(const Neighbor& a, const Neighbor& b) {
  return a.distance < b.distance || (a.distance == b.distance && a.node < b.node);
}

}  // namespace fastcbir
