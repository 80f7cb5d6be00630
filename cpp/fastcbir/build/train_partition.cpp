#include "fastcbir/build/train_partition.hpp"

#include <stdexcept>
#include <string>

#include "fastcbir/search/flat_partition.hpp"
#include "fastcbir/search/product_partition.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t iterations = 10;

// Progress of one of two codebooks as progress of both.
class HalfMonitor final : public Monitor {
 public:
  HalfMonitor(Monitor* whole, std::size_t before, std::size_t parts) : whole_(whole), before_(before), parts_(parts) {}
  void tick(std::size_t done, std::size_t total) override { whole_->tick(before_ * total + done, parts_ * total); }

 private:
  Monitor* whole_;
  std::size_t before_;
  std::size_t parts_;
};

}  // namespace

void check_partition(const Space& space, const IvfParams& params) {
  if (params.imi_bits == 0) return;
  if (space.dim() < 2) throw std::invalid_argument("a multi-index needs two halves: dim must be at least 2, got 1");
  if (space.metric() == Metric::cosine && bytes_of(space.type()) == 1) {
    throw std::invalid_argument("a multi-index can't take the cosine of 8-bit vectors; use float16 or float32");
  }
}

std::vector<Space> partition_spaces(const Space& space, const IvfParams& params) {
  if (params.imi_bits == 0) return {space};
  return {ProductPartition::half_of(space, false), ProductPartition::half_of(space, true)};
}

std::shared_ptr<const Partition> make_partition(const Space& space, std::vector<Centroids> codebooks) {
  if (codebooks.size() == 1) return std::make_shared<FlatPartition>(std::move(codebooks[0]));
  return std::make_shared<ProductPartition>(space, std::move(codebooks[0]), std::move(codebooks[1]));
}

std::shared_ptr<const Partition> train_partition(const Space& space, const VectorStore& sample, std::size_t centroids,
                                                 const IvfParams& params, std::size_t threads, Monitor* monitor) {
  std::vector<Centroids> codebooks;
  const std::vector<Space> spaces = partition_spaces(space, params);
  for (std::size_t part = 0; part < spaces.size(); ++part) {
    HalfMonitor half(monitor, part, spaces.size());
    const KMeansOptions options{centroids, iterations, params.seed, threads, monitor != nullptr ? &half : nullptr};
    codebooks.emplace_back(spaces[part]);
    if (spaces.size() == 1) {
      train_kmeans(sample, options, codebooks.back());
      continue;
    }
    AlignedBuffer rows;
    ProductPartition::split(space, part == 1, sample.row(0), sample.size(), false, rows);
    train_kmeans(VectorStore(spaces[part], std::move(rows)), options, codebooks.back());
  }
  return make_partition(space, std::move(codebooks));
}

}  // namespace fastcbir
