# SPDX-License-Identifier: Apache-2.0
# The backend for the rp2 port, which is built by CMake; see micropython.mk.
set(PORT_MOD_DIR ${CMAKE_CURRENT_LIST_DIR})

add_library(usermod_port INTERFACE)
if(MOAT_STOCK)
    list(APPEND MICROPY_DEF_BOARD MOAT_STOCK=1)
    if(MOAT_ROMFS)
        list(APPEND MICROPY_DEF_BOARD MICROPY_HW_ROMFS_BYTES=${MOAT_ROMFS})
    endif()
else()
    target_sources(usermod_port INTERFACE
        ${PORT_MOD_DIR}/port.c
        ${PORT_MOD_DIR}/port_bare.c
        ${PORT_MOD_DIR}/boot_bare.c
        ${PORT_MOD_DIR}/rp2/boot.c
        ${PORT_MOD_DIR}/rp2/usb.c
    )
    target_include_directories(usermod_port INTERFACE ${PORT_MOD_DIR} ${CMAKE_BINARY_DIR}/image)
    foreach(name
        mp_hal_stdout_tx_strn mp_init mp_usbd_cdc_poll_interfaces pyexec_file_if_exists
        tud_cdc_rx_cb
    )
        target_link_options(usermod_port INTERFACE -Wl,--wrap=${name})
    endforeach()
endif()
target_link_libraries(usermod INTERFACE usermod_port)

list(APPEND MICROPY_DEF_BOARD MP_CONFIGFILE="${PORT_MOD_DIR}/rp2/mpconfig_rp2.h")

# Without a network: no TLS, and so its library need not be there.
if(NOT MICROPY_PY_NETWORK_CYW43 AND NOT MICROPY_PY_LWIP)
    set_property(TARGET micropy_lib_mbedtls PROPERTY INTERFACE_SOURCES "")
    set_property(TARGET micropy_lib_mbedtls PROPERTY INTERFACE_INCLUDE_DIRECTORIES "")
    list(REMOVE_ITEM MICROPY_INC_CORE "${MICROPY_LIB_MBEDTLS_DIR}/include")
endif()

# Nothing here is C++, and libstdc++ for the target is a package of its own. What links
# C++ has libm as well, for log2f.
set_property(TARGET pico_cxx_options PROPERTY INTERFACE_SOURCES "")
target_link_libraries(usermod_port INTERFACE m)
