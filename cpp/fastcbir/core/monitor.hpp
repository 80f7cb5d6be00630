// How long work reports progress and is cancelled. Floor 0.
#pragma once

#include <cstddef>

namespace fastcbir {

// Called only from the thread that started the work, some twenty times a second. Throwing from it cancels the work: what
// was finished stays, nothing is half done, and the exception reaches the caller.
class Monitor {
 public:
  virtual ~Monitor() = default;
  virtual void tick(std::size_t done, std::size_t total) = 0;
};

}  // namespace fastcbir
