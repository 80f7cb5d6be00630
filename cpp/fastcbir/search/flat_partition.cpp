#include "fastcbir/search/flat_partition.hpp"

#include <algorithm>

namespace fastcbir {

std::size_t FlatPartition::probe(const void* query, std::size_t wanted, const InvertedLists&, ProbeScratch& scratch,
                                 std::vector<Probe>& probes) const {
  const Space& space = centroids_.space();
  const std::size_t count = centroids_.count();
  scratch.values.resize(count);
  space.kernels().block(query, centroids_.rows().row(0), space.stride_bytes(), count, space.dim(),
                        scratch.values.data());
  const auto nearer = [](const Probe& a, const Probe& b) {
    return a.value < b.value || (a.value == b.value && a.list < b.list);
  };
  probes.clear();
  wanted = std::min(wanted, count);
  float bound = infinity;
  const std::size_t room = 2 * wanted + 16;
  const auto cut = [&] {
    std::nth_element(probes.begin(), probes.begin() + static_cast<std::ptrdiff_t>(wanted - 1), probes.end(), nearer);
    bound = probes[wanted - 1].value;
    probes.resize(wanted);
  };
  for (std::size_t list = 0; list < count; ++list) {
    if (scratch.values[list] > bound) continue;
    probes.push_back({scratch.values[list], static_cast<std::uint32_t>(list)});
    if (probes.size() == room) cut();
  }
  if (probes.size() > wanted) cut();
  std::sort(probes.begin(), probes.end(), nearer);
  return count;
}

}  // namespace fastcbir
