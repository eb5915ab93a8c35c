# Runs every candidate's bin/detect at once, so that detection costs one sandbox. Arguments, three for each candidate:
# its directory, "clear" or "keep" for its environment, and a directory for `status`, `output` and `plan.toml`.
detect() {
    CNB_BUILDPACK_DIR=$1 CNB_BUILD_PLAN_PATH=$3/plan.toml
    export CNB_BUILDPACK_DIR CNB_BUILD_PLAN_PATH
    : >"$CNB_BUILD_PLAN_PATH"
    if [ "$2" = clear ]; then
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$HOME" LANG=C.UTF-8 \
            CNB_BUILDPACK_DIR="$1" CNB_BUILD_PLAN_PATH="$CNB_BUILD_PLAN_PATH" CNB_PLATFORM_DIR="$CNB_PLATFORM_DIR" \
            CNB_EXEC_ENV="$CNB_EXEC_ENV" CNB_TARGET_OS="$CNB_TARGET_OS" CNB_TARGET_ARCH="$CNB_TARGET_ARCH" \
            CNB_TARGET_DISTRO_NAME="$CNB_TARGET_DISTRO_NAME" \
            CNB_TARGET_DISTRO_VERSION="$CNB_TARGET_DISTRO_VERSION" \
            "$1/bin/detect" "$CNB_PLATFORM_DIR" "$3/plan.toml" >"$3/output" 2>&1
    else
        "$1/bin/detect" "$CNB_PLATFORM_DIR" "$3/plan.toml" >"$3/output" 2>&1
    fi
    echo $? >"$3/status"
}
while [ $# -ge 3 ]; do
    detect "$1" "$2" "$3" &
    shift 3
done
wait
