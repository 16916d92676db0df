# distkv_module(NAME SOURCES ... LINKS ...): one static library per module.
# LINKS names the modules and packages that it may use, and nothing else links.
# A module of headers alone has no library, but carries its LINKS all the same.
function(distkv_module name)
  cmake_parse_arguments(M "" "" "SOURCES;LINKS" ${ARGN})
  if(M_SOURCES)
    add_library(${name} STATIC ${M_SOURCES})
    target_link_libraries(${name} PUBLIC ${M_LINKS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${M_LINKS})
  endif()
endfunction()

# What the sanitizers are told wherever a test runs.  A suppression is not among it, on purpose.
set(DISTKV_TEST_ENVIRONMENT
  "UBSAN_OPTIONS=print_stacktrace=1"
  "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# distkv_case(NAME TIMEOUT seconds COMMAND ...): one CTest case.
function(distkv_case name)
  cmake_parse_arguments(C "" "TIMEOUT" "COMMAND" ${ARGN})
  add_test(NAME ${name} COMMAND ${C_COMMAND})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${C_TIMEOUT} ENVIRONMENT "${DISTKV_TEST_ENVIRONMENT}")
endfunction()

# distkv_test(NAME SOURCES ... LINKS ...): one test program, `test_NAME`, and one CTest case.
# The case's name begins with its folder's, so that `make test T=wal` runs all of that module.
function(distkv_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LINKS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  if(name MATCHES "^${folder}(_|$)")
    set(case ${name})
  else()
    set(case ${folder}_${name})
  endif()
  add_executable(test_${name} ${T_SOURCES})
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE ${T_LINKS} PkgConfig::CMOCKA)
  distkv_case(${case} TIMEOUT ${T_TIMEOUT} COMMAND test_${name})
endfunction()
