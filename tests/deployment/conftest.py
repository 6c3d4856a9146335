"""The C++ programs, for every test of this wing."""

from support.cpp_build import cpp_programs  # noqa: F401  a fixture
