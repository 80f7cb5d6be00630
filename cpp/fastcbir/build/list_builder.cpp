#include "fastcbir/build/list_builder.hpp"

#include <algorithm>

#include "fastcbir/build/kmeans.hpp"
#include "fastcbir/storage/packed_codec.hpp"
#include "fastcbir/storage/product_codec.hpp"

namespace fastcbir {
namespace {

struct BlockName {
  std::uint32_t list;
  std::uint32_t at;
};

// A block as its codec sees it: the centroid of its list, where its rows typically reach, and the rows of its nodes.
class LoadedBlock {
 public:
  void load(const ListStructure& structure, const VectorStore& rows, BlockName block) {
    centroid_.resize(rows.stride_bytes());
    structure.partition->centroid(block.list, centroid_.data());
    load(*structure.codec, structure.lists, rows, block, centroid_.data(), structure.reach);
  }
  void load(const BlockCodec& codec, const InvertedLists& lists, const VectorStore& rows, BlockName block,
            const std::byte* centroid, float reach) {
    const std::size_t width = codec.padded_dim();
    loaded_.resize((1 + InvertedLists::block_nodes) * width * sizeof(float));
    float* const to = loaded_.as<float>().data();
    stored_.assign(1, centroid);
    nodes_.clear();
    const std::size_t first = block.at * InvertedLists::block_nodes;
    const std::size_t end = std::min(lists.size(block.list), first + InvertedLists::block_nodes);
    for (std::size_t i = first; i < end; ++i) {
      nodes_.push_back(to + stored_.size() * width);
      stored_.push_back(rows.row(lists.node(block.list, i)));
    }
    codec.load_rows(stored_, to, scratch_);
    for (std::size_t d = 0; d < width; ++d) to[d] *= reach;
  }
  const float* centroid() const { return loaded_.as<float>().data(); }
  std::span<const float* const> nodes() const { return nodes_; }

 private:
  AlignedBuffer centroid_;
  AlignedBuffer loaded_;
  AlignedBuffer scratch_;
  std::vector<const std::byte*> stored_;
  std::vector<const float*> nodes_;
};

// A sample of rows tells the scale of their distances to their centroids.
void choose_unit(ListStructure& structure, const VectorStore& rows, std::span<const BlockName> blocks) {
  constexpr std::size_t sampled_blocks = 50;
  LoadedBlock loaded;
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < blocks.size(); i += std::max<std::size_t>(1, blocks.size() / sampled_blocks)) {
    loaded.load(structure, rows, blocks[i]);
    for (const float* node : loaded.nodes()) {
      for (std::size_t d = 0; d < structure.codec->padded_dim(); ++d) {
        const double difference = double{node[d]} - loaded.centroid()[d];
        sum += difference * difference;
      }
      ++count;
    }
  }
  if (count > 0) structure.codec->set_unit(BlockCodec::unit_of(sum / static_cast<double>(count)));
}

void pack(ListStructure& structure, const VectorStore& rows, std::span<const BlockName> blocks, std::size_t threads,
          Monitor* monitor) {
  struct Worker {
    BlockCodec::Workspace workspace;
    LoadedBlock loaded;
  };
  threads = resolve_threads(threads);
  std::vector<Worker> workers(threads);
  parallel_for(blocks.size(), 8, threads, monitor, [&](std::size_t worker, std::size_t begin, std::size_t end) {
    auto& [workspace, loaded] = workers[worker];
    for (; begin < end; ++begin) {
      loaded.load(structure, rows, blocks[begin]);
      structure.codec->pack(loaded.centroid(), loaded.nodes(),
                            structure.lists.block(blocks[begin].list, blocks[begin].at), workspace);
    }
  });
}

}  // namespace

void pack_centroids(ListStructure& structure, const Space& space) {
  constexpr std::size_t least_count = 128;  // fewer are compared as quickly
  const std::vector<const Centroids*> codebooks = structure.partition->codebooks();
  if (structure.codec == nullptr || !structure.codec->suits_any_base() || structure.codec->unit() == 0 ||
      structure.partition->in_stages()) {
    return;
  }
  const Centroids& centroids = *codebooks[0];
  const auto count = static_cast<std::uint32_t>(centroids.count());
  if (count < least_count) return;
  structure.middle = mean_row(centroids.rows(), space);
  const BlockCodec& codec = *structure.codec;
  InvertedLists coarse(1, codec.block_bytes(InvertedLists::block_nodes));
  coarse.make_room(std::span(&count, 1));
  for (NodeId node = 0; node < count; ++node) coarse.append(0, node);
  LoadedBlock loaded;
  BlockCodec::Workspace workspace;
  for (std::size_t at = 0; at < coarse.block_count(0); ++at) {
    loaded.load(codec, coarse, centroids.rows(), {0, static_cast<std::uint32_t>(at)}, structure.middle.data(), 1);
    codec.pack(loaded.centroid(), loaded.nodes(), coarse.block(0, at), workspace);
  }
  structure.coarse = std::move(coarse);
}

std::shared_ptr<BlockCodec> make_codec(const Space& space, const IvfParams& params) {
  if (params.code_parts > 0) return std::make_shared<ProductCodec>(space, params.code_parts);
  if (params.code_bits > 0) return std::make_shared<PackedCodec>(space, params.code_bits, params.seed);
  return nullptr;
}

ListStructure empty_structure(std::shared_ptr<const Partition> partition, std::shared_ptr<BlockCodec> codec,
                              float reach) {
  ListStructure structure;
  if (partition != nullptr) {
    const std::size_t code_bytes = codec ? codec->block_bytes(InvertedLists::block_nodes) : 0;
    structure.lists = InvertedLists(partition->list_count(), code_bytes);
  }
  structure.partition = std::move(partition);
  structure.codec = std::move(codec);
  structure.reach = reach;
  return structure;
}

ParallelOutcome assign_lists(const Partition& partition, const VectorStore& rows, std::size_t first,
                             std::span<std::uint32_t> lists, std::size_t threads, Monitor* monitor) {
  constexpr std::size_t slice = 192;
  threads = resolve_threads(threads);
  std::vector<Partition::Workspace> workspaces(threads);
  const std::vector<PackedCentroids> packed = partition.pack(lists.size());
  return run_parallel(lists.size(), slice, threads, monitor,
                      [&](std::size_t worker, std::size_t begin, std::size_t end) {
                        partition.assign(rows.row(static_cast<NodeId>(first + begin)), end - begin, packed,
                                         lists.data() + begin, workspaces[worker]);
                      });
}

void append_nodes(ListStructure& structure, const Space& space, const VectorStore& rows, std::size_t first,
                  std::span<const std::uint32_t> lists, const NodeBitset* skip, std::size_t threads, Monitor* monitor) {
  const auto skipped = [&](std::size_t i) { return skip != nullptr && (*skip)[first + i]; };
  std::vector<std::uint32_t> more(structure.lists.list_count());
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (!skipped(i)) ++more[lists[i]];
  }
  structure.lists.make_room(more);
  std::vector<BlockName> changed;
  for (std::size_t list = 0; list < more.size(); ++list) {
    if (more[list] == 0) continue;
    const std::size_t before = structure.lists.size(list);
    for (std::size_t at = before / InvertedLists::block_nodes; at * InvertedLists::block_nodes < before + more[list];
         ++at) {
      changed.push_back({static_cast<std::uint32_t>(list), static_cast<std::uint32_t>(at)});
    }
  }
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (!skipped(i)) structure.lists.append(lists[i], static_cast<NodeId>(first + i));
  }
  if (structure.codec == nullptr) return;
  if (structure.codec->unit() == 0) choose_unit(structure, rows, changed);
  if (structure.coarse.list_count() == 0) pack_centroids(structure, space);
  pack(structure, rows, changed, threads, monitor);
}

}  // namespace fastcbir
