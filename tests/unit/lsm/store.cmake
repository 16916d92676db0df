# Versions, manifest, picker, record cache; the tree over them is in tree.cmake.
set(store_fixture store_fixture.c)
set(manifest_fixture manifest_fixture.c manifest_judge.c manifest_watch.c ${store_fixture})

distkv_test(lsm_version SOURCES version_test.c ${store_fixture} LINKS lsm)
distkv_test(lsm_version_edit SOURCES version_edit_test.c ${store_fixture} LINKS lsm)
distkv_test(lsm_table_file SOURCES table_file_test.c ${store_fixture} LINKS lsm)
distkv_test(lsm_picker SOURCES picker_test.c ${store_fixture} LINKS lsm)
distkv_test(lsm_record_cache SOURCES record_cache_test.c LINKS lsm)
distkv_test(lsm_record_cache_threads SOURCES record_cache_threads_test.c LINKS lsm)
distkv_test(lsm_manifest SOURCES manifest_test.c ${manifest_fixture} LINKS lsm simenv)
distkv_test(lsm_manifest_crash SOURCES manifest_crash_test.c ${manifest_fixture} LINKS lsm simenv)
distkv_test(lsm_manifest_damage SOURCES manifest_damage_test.c ${manifest_fixture} LINKS lsm simenv)
distkv_test(lsm_manifest_old SOURCES manifest_old_test.c ${manifest_fixture} LINKS lsm simenv)
distkv_test(lsm_manifest_format SOURCES manifest_format_test.c ${manifest_fixture} LINKS lsm simenv)
target_compile_definitions(test_lsm_manifest_format PRIVATE
  MANIFEST_FORMAT_DOCUMENT="${CMAKE_SOURCE_DIR}/docs/formats/manifest.md")
