// A fake behind our declarations of the maker's SDK, for tests on a PC only, with the rules of the
// Python one in tests/sdk/python. Its network has 10 outputs: logit k is the mean of the channel
// k % 3 less 128, less k.

#include <lockzhiner_vision_module/edit/edit.h>
#include <lockzhiner_vision_module/vision/deep_learning/classification/paddle_clas.h>
#include <lockzhiner_vision_module/vision/deep_learning/runtime/rknpu2_backend/rknpu2_backend.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace {

bool is_model(const std::string& path) {
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, 4);
  return std::equal(magic, magic + 4, "RKNN");
}

uint32_t setting(const char* name, uint32_t otherwise) {
  const char* value = std::getenv(name);
  return value ? static_cast<uint32_t>(std::atoi(value)) : otherwise;
}

uint8_t pixels[48 * 64 * 3];
int8_t logits[16];  // ten, padded
const lockzhiner_vision_module::vision::RKNNTensor input, output;

}  // namespace

namespace lockzhiner_vision_module {
namespace edit {
bool Edit::StartAndAcceptConnection() { return true; }
bool Edit::Print(const cv::Mat& picture) { return !picture.empty(); }
}  // namespace edit

namespace vision {
bool PaddleClas::Initialize(const std::string& path) { return is_model(path); }
ClassificationResult PaddleClas::Predict(const cv::Mat& picture) {
  const int blue = static_cast<int>(cv::mean(picture)[0]);
  return {static_cast<int>(setting("FAKE_SDK_LABEL", static_cast<uint32_t>(blue / 26))), 0.75f};
}

std::vector<uint32_t> RKNNTensor::GetDims() const {
  if (this == &output) return {1, 10};
  return {1, 48, 48, 3};
}
void* RKNNTensor::GetData() const {
  return this == &output ? static_cast<void*>(logits) : static_cast<void*>(pixels);
}
size_t RKNNTensor::GetElemsBytes() const {
  return this == &output ? sizeof logits : 48 * setting("FAKE_SDK_STRIDE", 48) * 3;
}
float RKNNTensor::GetScale() const { return 0.125f; }
int32_t RKNNTensor::GetZp() const { return 5; }

bool RKNPU2Backend::Initialize(const std::string& path) { return is_model(path); }
const RKNNTensor& RKNPU2Backend::GetInputTensor(size_t) { return input; }
const RKNNTensor& RKNPU2Backend::GetOutputTensor(size_t) { return output; }
bool RKNPU2Backend::Run() {
  int sum[3] = {};
  for (size_t i = 0; i < 48 * 48 * 3; ++i) sum[i % 3] += pixels[i];
  for (int k = 0; k < 10; ++k) {
    logits[k] = static_cast<int8_t>(std::max(-128, sum[k % 3] / (48 * 48) - 128 - k));
  }
  return true;
}
}  // namespace vision
}  // namespace lockzhiner_vision_module
