# Runs every candidate's bin/detect at once, so that detection costs one sandbox. $1: where results go; then two words
# for each candidate: its directory, and "clear" or "keep" for its environment. The candidate N leaves N.output and
# N.plan.toml; `statuses` has the exit statuses in order, one to a line.
results=$1 number=0 pids=
shift
while [ $# -ge 2 ]; do
    (
        plan=$results/$number.plan.toml
        : >"$plan"
        exec >"$results/$number.output" 2>&1
        if [ "$2" = clear ]; then
            exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$HOME" \
                LANG=C.UTF-8 CNB_BUILDPACK_DIR="$1" CNB_BUILD_PLAN_PATH="$plan" CNB_EXEC_ENV="$CNB_EXEC_ENV" \
                CNB_PLATFORM_DIR="$CNB_PLATFORM_DIR" CNB_TARGET_OS="$CNB_TARGET_OS" \
                CNB_TARGET_ARCH="$CNB_TARGET_ARCH" CNB_TARGET_DISTRO_NAME="$CNB_TARGET_DISTRO_NAME" \
                CNB_TARGET_DISTRO_VERSION="$CNB_TARGET_DISTRO_VERSION" \
                "$1/bin/detect" "$CNB_PLATFORM_DIR" "$plan"
        fi
        export CNB_BUILDPACK_DIR="$1" CNB_BUILD_PLAN_PATH="$plan"
        exec "$1/bin/detect" "$CNB_PLATFORM_DIR" "$plan"
    ) &
    pids="$pids $!" number=$((number + 1))
    shift 2
done
for pid in $pids; do
    wait "$pid"
    echo $?
done >"$results/statuses"
