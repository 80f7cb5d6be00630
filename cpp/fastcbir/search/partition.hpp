// Partition: how a space is cut into lists: which list a row belongs to, and which to visit for a query. Floor 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/search/beam.hpp"
#include "fastcbir/search/candidates.hpp"
#include "fastcbir/search/inverted_scorers.hpp"
#include "fastcbir/search/neighborhood.hpp"
#include "fastcbir/search/visited.hpp"
#include "fastcbir/storage/centroids.hpp"
#include "fastcbir/storage/lists.hpp"
#include "fastcbir/storage/space.hpp"

namespace fastcbir {

class Partition {
 public:
  virtual ~Partition() = default;

  virtual std::size_t list_count() const = 0;
  virtual std::size_t memory_bytes() const = 0;

  // Of a walk along a graph of centroids.
  struct GraphWalk {
    VisitedSet visited;
    SortedBeam beam;
    Neighborhood neighborhood;
  };
  struct Workspace {
    Centroids::Workspace nearest;
    AlignedBuffer parts;
    std::vector<std::uint32_t> found;
    GraphWalk walk;
  };
  // What assign() wants, for about so many rows in all: of each codebook.
  virtual std::vector<PackedCentroids> pack(std::size_t rows) const {
    std::vector<PackedCentroids> packed;
    for (const Centroids* centroids : codebooks()) packed.push_back(centroids->pack(rows));
    return packed;
  }
  // The lists of `count` rows of the space, one behind the other.
  virtual void assign(const std::byte* rows, std::size_t count, std::span<const PackedCentroids> packed,
                      std::uint32_t* lists, Workspace& workspace) const = 0;
  // A list's centroid as a row of the space.
  virtual void centroid(std::size_t list, std::byte* row) const = 0;

  struct ProbeScratch {
    AlignedBuffer parts;
    std::vector<float> values;
    Candidates nearest;
    std::vector<Probe> order;
    std::vector<std::uint32_t> heap;
    std::vector<std::uint32_t> depth;
    GraphWalk walk;
  };
  // The `wanted` lists to visit for a prepared query, nearest centroid first; lists that hold nothing may be left out.
  // Returns how many centroids the query was compared with.
  virtual std::size_t probe(const void* query, std::size_t wanted, const InvertedLists& lists, ProbeScratch& scratch,
                            std::vector<Probe>& probes) const = 0;
  // Whether probe() compares the more centroids the more lists are wanted: then few are asked for at first.
  virtual bool in_stages() const = 0;

  // The centroids as files hold them: one set, or one for each half of the dimensions.
  virtual std::vector<const Centroids*> codebooks() const = 0;
};

}  // namespace fastcbir
