// Our own declarations of the calls that deploy/cpp/main.cpp makes, for tests on a PC: this is not
// the SDK. The headers' names and the calls are the published ones; the types are guesses.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lockzhiner_vision_module::vision {

class RKNNTensor {
 public:
  std::vector<uint32_t> GetDims() const;
  void* GetData() const;
  size_t GetElemsBytes() const;
  float GetScale() const;
  int32_t GetZp() const;
};

class RKNPU2Backend {
 public:
  bool Initialize(const std::string& path);
  const RKNNTensor& GetInputTensor(size_t index);
  const RKNNTensor& GetOutputTensor(size_t index);
  bool Run();
};

}  // namespace lockzhiner_vision_module::vision
