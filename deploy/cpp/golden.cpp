#include "golden.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

namespace digits {
namespace {

std::vector<uint8_t> content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " cannot be read: copy the golden pack anew");
  return {std::istreambuf_iterator<char>(file), {}};
}

// Keys of a JSON object and the text of their values, where these are numbers or strings; what is
// nested deeper is passed over. No JSON library is known to be on the module.
std::map<std::string, std::string> plain_members(const std::string& json) {
  std::map<std::string, std::string> members;
  std::string key, token;
  int depth = 0;
  bool after_colon = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') {
      const size_t start = i++;
      while (i < json.size() && json[i] != '"') i += json[i] == '\\' ? 2 : 1;
      token = json.substr(start, i + 1 - start);
    } else if (c == '{' || c == '[') {
      ++depth;
      token.clear();
    } else if (c == ':' && depth == 1) {
      key = token;
      token.clear();
      after_colon = true;
    } else if (c == ',' || c == '}' || c == ']') {
      if (depth == 1 && after_colon && !token.empty()) members[key] = token;
      if (depth == 1) after_colon = false;
      if (c != ',') --depth;
      token.clear();
    } else if (c > ' ') {
      token += c;
    }
  }
  return members;
}

}  // namespace

Golden read_golden(const std::string& folder) {
  const std::vector<uint8_t> json = content_of(folder + "/golden.json");
  auto members = plain_members({json.begin(), json.end()});
  Golden golden;
  const auto number = [&members](const char* name) {
    return static_cast<size_t>(std::strtoul(members[name].c_str(), nullptr, 10));
  };
  golden.images = number("\"images\"");
  golden.height = number("\"height\"");
  golden.width = number("\"width\"");
  golden.model = members["\"model\""];
  const std::string order = members["\"color_order\""];
  golden.rgb = order == "\"rgb\"";
  golden.content = content_of(folder + "/images.bin");
  const size_t size = golden.images * golden.height * golden.width * 3;
  if (size == 0 || golden.content.size() != size || golden.model.empty() ||
      (!golden.rgb && order != "\"bgr\"")) {
    throw std::runtime_error(folder +
                             " is no whole golden pack: images.bin and golden.json disagree");
  }
  return golden;
}

GoldenLog::GoldenLog(const std::string& path, const Golden& golden) : path_(path) {
  text_ = "{\"log\": \"mnist-rknn golden\", \"version\": 1, \"program\": \"cpp\", \"images\": " +
          std::to_string(golden.images) + ", \"model_sha256\": null, \"model\": " + golden.model +
          "}\n";
}

void GoldenLog::add(size_t image, int label, float score, const std::vector<int8_t>& logits) {
  std::string list;
  for (const int8_t logit : logits) list += (list.empty() ? "" : ", ") + std::to_string(logit);
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6f", static_cast<double>(score));
  text_ += "{\"image\": " + std::to_string(image) + ", \"label\": " + std::to_string(label) +
           ", \"score\": " + digits + ", \"logits\": [" + list + "]}\n";
}

void GoldenLog::finish() {
  const std::string partial = path_ + ".partial";
  std::ofstream file(partial, std::ios::binary);
  file << text_ << "{\"done\": true}\n";
  file.close();
  if (!file || std::rename(partial.c_str(), path_.c_str()) != 0) {
    std::remove(partial.c_str());
    throw std::runtime_error(path_ + " cannot be written");
  }
}

}  // namespace digits
