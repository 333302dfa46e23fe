/* Preloaded into Orthanc: whatever would listen on all interfaces listens on 127.0.0.1.
   Orthanc itself has no such setting; it only refuses what comes from elsewhere. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

int bind(int socket, const struct sockaddr *address, socklen_t length)
{
    int (*system_bind)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    if (address->sa_family == AF_INET) {
        struct sockaddr_in local = *(const struct sockaddr_in *)address;
        if (local.sin_addr.s_addr == htonl(INADDR_ANY))
            local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return system_bind(socket, (struct sockaddr *)&local, sizeof local);
    }
    return system_bind(socket, address, length);
}
