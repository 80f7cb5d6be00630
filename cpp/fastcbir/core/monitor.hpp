// How long work reports progress and is cancelled. Floor 0.
#pragma once

#include <algorithm>
#include <cstddef>

namespace fastcbir {

// Called only from the thread that started the work, some twenty times a second. Throwing from it cancels the work: what
// was finished stays, nothing is half done, and the exception reaches the caller.
class Monitor {
 public:
  virtual ~Monitor() = default;
  virtual void tick(std::size_t done, std::size_t total) = 0;
};

// Progress of a part, [before, before + part) of `total`, as progress of the whole.
class PartMonitor final : public Monitor {
 public:
  PartMonitor(Monitor* whole, std::size_t before, std::size_t part, std::size_t total)
      : whole_(whole), before_(before), part_(part), total_(total) {}
  void tick(std::size_t done, std::size_t total) override {
    if (whole_ == nullptr) return;
    const double share = total == 0 ? 1 : static_cast<double>(std::min(done, total)) / static_cast<double>(total);
    whole_->tick(before_ + static_cast<std::size_t>(share * static_cast<double>(part_)), total_);
  }

 private:
  Monitor* whole_;
  std::size_t before_;
  std::size_t part_;
  std::size_t total_;
};

}  // namespace fastcbir
