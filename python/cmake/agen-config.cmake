# find_package(agen) against the headers that the Python package carries: the target agen::agen.
if(NOT TARGET agen::agen)
  add_library(agen::agen INTERFACE IMPORTED)
  set_target_properties(agen::agen PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}/../include"
    INTERFACE_COMPILE_FEATURES cxx_std_20)
endif()
