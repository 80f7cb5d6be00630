// fastcbir.types.Hits as searches give them. One query's answer must not take longer to wrap than to find.
#pragma once

#include "bind.hpp"
#include "fastcbir/index/index.hpp"

namespace fastcbir::bindings {

class KeptHits;

// A Hits whose arrays are there to be written: (rows, columns), or (rows,) for those of one number a query.
class NewHits {
 public:
  // promised: with stop_reason and estimated_recall, which are None otherwise.
  NewHits(py::ssize_t rows, py::ssize_t columns, bool promised);

  const SearchOutput& output() const { return output_; }
  // Gives the Hits to Python: a new reference.
  PyObject* release();

 private:
  py::object hits_;
  SearchOutput output_{};
  KeptHits* kept_;
};

}  // namespace fastcbir::bindings
