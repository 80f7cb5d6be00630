// Graphs in .fcx files: that of an HnswIndex, or over the centroids of an IvfIndex. Floor 5.
#pragma once

#include <cstddef>
#include <vector>

#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/io/reader.hpp"
#include "fastcbir/io/writer.hpp"

namespace fastcbir {

// How the graph was made, but for codes.
HnswParams read_graph_params(const io::Reader& reader);

// Of `count` nodes, with so many bytes of codes behind the links of each. Throws io::FormatError unless the sections fit.
HnswGraph read_graph(const io::Reader& reader, const HnswParams& params, std::size_t payload_bytes, std::size_t count,
                     bool mapped);

// The sections point into the links.
void add_graph_sections(const HnswParams& params, const GraphLinks& links, NodeId entry,
                        std::vector<io::Section>& sections);

}  // namespace fastcbir
