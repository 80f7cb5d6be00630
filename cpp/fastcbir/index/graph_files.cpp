#include "fastcbir/index/graph_files.hpp"

namespace fastcbir {

HnswParams read_graph_params(const io::Reader& reader) {
  const AlignedBuffer bytes = reader.section(io::hnsw_params_tag, sizeof(io::HnswSection), false);
  const io::HnswSection section = bytes.as<io::HnswSection>().front();
  return {section.m, section.ef_construction, section.keep_pruned != 0, section.seed, 0};
}

HnswGraph read_graph(const io::Reader& reader, const HnswParams& params, std::size_t payload_bytes, std::size_t count,
                     bool mapped) {
  const AlignedBuffer bytes = reader.section(io::hnsw_params_tag, sizeof(io::HnswSection), false);
  const NodeId entry = bytes.as<io::HnswSection>().front().entry;
  if (count == 0 ? entry != no_node : entry >= count) reader.fail("is damaged: its entry node does not exist");
  const std::size_t block = GraphLinks(params.m0(), params.m, payload_bytes).stride0_bytes();
  return HnswGraph(
      GraphLinks(params.m0(), params.m, payload_bytes, reader.section(io::links_tag, count * block, mapped),
                 reader.section(io::levels_tag, count, mapped),
                 reader.section(io::upper_begins_tag, count * sizeof(std::uint32_t), mapped),
                 reader.section(io::upper_tag, mapped)),
      entry);
}

void add_graph_sections(const HnswParams& params, const GraphLinks& links, NodeId entry,
                        std::vector<io::Section>& sections) {
  const auto bytes_of_buffer = [](const AlignedBuffer& buffer) {
    return std::span<const std::byte>(buffer.data(), buffer.size());
  };
  sections.push_back(io::struct_section(
      io::hnsw_params_tag,
      io::HnswSection{params.m, params.ef_construction, params.keep_pruned ? 1u : 0u, entry, params.seed}));
  sections.push_back({io::links_tag, bytes_of_buffer(links.level0_bytes())});
  sections.push_back({io::levels_tag, bytes_of_buffer(links.levels_bytes())});
  sections.push_back({io::upper_begins_tag, bytes_of_buffer(links.upper_begins_bytes())});
  sections.push_back({io::upper_tag, bytes_of_buffer(links.upper_bytes())});
}

}  // namespace fastcbir
