// IvfIndex in .fcx files. Floor 5.
#include <string>

#include "fastcbir/build/train_partition.hpp"
#include "fastcbir/index/graph_files.hpp"
#include "fastcbir/index/ivf_index.hpp"
#include "fastcbir/io/advice.hpp"
#include "fastcbir/search/graph_partition.hpp"
#include "fastcbir/storage/product_codec.hpp"

namespace fastcbir {
namespace {

template <class Section>
Section read_struct(const io::Reader& reader, std::uint32_t tag) {
  return reader.section(tag, sizeof(Section), false).as<Section>().front();
}

IvfParams read_params(const io::Reader& reader) {
  const auto section = read_struct<io::IvfSection>(reader, io::ivf_params_tag);
  if (section.code_bits > 2 || section.imi_bits > max_imi_bits ||
      (section.imi_bits > 0) != (reader.header().kind == static_cast<std::uint32_t>(io::IndexKind::imi))) {
    reader.fail("is damaged: its lists have parameters that do not exist");
  }
  IvfParams params{section.nlist, section.imi_bits, section.code_bits, 0, section.seed};
  if (reader.has(io::product_tag)) {
    params.code_parts = read_struct<io::ProductSection>(reader, io::product_tag).parts;
    if (params.code_bits > 0 || params.code_parts < 1 || params.code_parts > ProductCodec::max_parts ||
        params.code_parts > reader.header().dim) {
      reader.fail("is damaged: its lists have codes that do not exist");
    }
  }
  return params;
}

std::span<const std::byte> bytes_of_buffer(const AlignedBuffer& buffer) { return {buffer.data(), buffer.size()}; }

template <class Check>
void check(const io::Reader& reader, Check&& found) {
  try {
    found();
  } catch (const std::runtime_error& error) {
    reader.fail(std::string("is damaged: ") + error.what());
  }
}

constexpr std::uint32_t centroid_tags[] = {io::centroids_tag, io::second_centroids_tag};

}  // namespace

IvfIndex::IvfIndex(const Space& space, const io::Reader& reader, bool mapped, bool verify)
    : Index(space, reader, mapped), params_(read_params(reader)) {
  check_partition(space, params_);
  const auto section = read_struct<io::IvfSection>(reader, io::ivf_params_tag);
  structure_ = empty_structure(nullptr, make_codec(space, params_), 1);
  trained_on_ = section.trained_on;
  if (structure_.codec != nullptr) structure_.codec->set_unit(section.unit);
  if (section.centroids == 0) {
    if (reader.header().vector_count != 0) reader.fail("is damaged: it has vectors but no lists");
    return;
  }
  if (reader.has(io::reach_tag)) structure_.reach = read_struct<io::ReachSection>(reader, io::reach_tag).reach;
  if (auto* const product = dynamic_cast<ProductCodec*>(structure_.codec.get())) {
    product->set_books(reader.section(io::books_tag, product->books_bytes(), mapped));
  }
  std::vector<Centroids> codebooks;
  for (const Space& part : partition_spaces(space, params_)) {
    codebooks.emplace_back(
        part, reader.section(centroid_tags[codebooks.size()], section.centroids * part.stride_bytes(), mapped));
  }
  if (codebooks.size() == 1 && reader.has(io::links_tag)) {
    const std::size_t nodes = reader.section(io::levels_tag, true).size();
    const HnswParams params = read_graph_params(reader);
    if (params.m != centroid_graph_m || nodes == 0 || nodes > codebooks[0].count()) {
      reader.fail("is damaged: the graph is not one of its centroids");
    }
    HnswGraph graph = read_graph(reader, params, 0, nodes, mapped);
    if (verify) check(reader, [&] { graph.links.check(); });
    structure_.partition =
        std::make_shared<GraphPartition>(std::move(codebooks[0]), std::move(graph.links), graph.entry);
  } else {
    structure_.partition = make_partition(space, std::move(codebooks));
  }
  const std::size_t lists = structure_.partition->list_count();
  const AlignedBuffer extents = reader.section(io::lists_tag, lists * sizeof(ListExtent), false);
  const std::size_t code_bytes = structure_.codec ? structure_.codec->block_bytes(InvertedLists::block_nodes) : 0;
  structure_.lists = InvertedLists(extents.as<ListExtent>(), code_bytes, reader.section(io::list_blocks_tag, mapped));
  list_count_ = lists;
  settled_ = vectors_.size();
  pack_centroids(structure_, space);
  // Lists are read as runs, but of the rows only those that are compared exactly.
  if (mapped && structure_.codec != nullptr)
    io::expect_scattered_reads(vectors_.bytes().data(), vectors_.bytes().size());
  if (!verify) return;
  check(reader, [&] { structure_.lists.check(reader.header().vector_count); });
}

io::IndexKind IvfIndex::file_kind() const { return params_.imi_bits > 0 ? io::IndexKind::imi : io::IndexKind::ivf; }

void IvfIndex::add_sections(std::vector<io::Section>& sections) const {
  io::IvfSection section{};
  section.nlist = params_.nlist;
  section.imi_bits = params_.imi_bits;
  section.code_bits = params_.code_bits;
  section.unit = structure_.codec ? structure_.codec->unit() : 0;
  section.seed = params_.seed;
  section.trained_on = trained_on_;
  const auto codebooks = structure_.partition ? structure_.partition->codebooks() : std::vector<const Centroids*>();
  section.centroids = codebooks.empty() ? 0 : codebooks.front()->count();
  sections.push_back(io::struct_section(io::ivf_params_tag, section));
  const auto* const product = dynamic_cast<const ProductCodec*>(structure_.codec.get());
  if (product != nullptr) {
    sections.push_back(io::struct_section(io::product_tag, io::ProductSection{params_.code_parts, 0}));
  }
  if (codebooks.empty()) return;
  if (product != nullptr) sections.push_back({io::books_tag, bytes_of_buffer(product->books())});
  if (structure_.reach != 1) {
    sections.push_back(io::struct_section(io::reach_tag, io::ReachSection{structure_.reach, 0}));
  }
  for (std::size_t part = 0; part < codebooks.size(); ++part) {
    sections.push_back({centroid_tags[part], bytes_of_buffer(codebooks[part]->rows().bytes())});
  }
  if (const auto* graph = dynamic_cast<const GraphPartition*>(structure_.partition.get())) {
    add_graph_sections(centroid_graph_params(params_.seed), graph->links(), graph->entry(), sections);
  }
  sections.push_back({io::lists_tag, std::as_bytes(structure_.lists.extents())});
  sections.push_back({io::list_blocks_tag, bytes_of_buffer(structure_.lists.blocks())});
}

}  // namespace fastcbir
