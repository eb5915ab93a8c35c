# Which process serves the app. find_web sets `framework`, `target` (module:name), `factory`, `root`, and either
# `server` (gunicorn or uvicorn) or `script`; all stay empty if the Procfile names the process.
# shellcheck shell=bash

framework='' target='' server='' script='' root='' factory=''

find_web() {
    if [[ -f Procfile && $'\n'$(<Procfile) == *$'\n'web:* ]]; then
        # The Procfile wins: nothing to look for, but a Django app still has static files to collect.
        if [[ -f manage.py ]]; then framework=django; fi
        return
    fi
    if [[ -f manage.py ]] && find_django; then
        return
    fi
    find_framework
    local file
    for file in main.py app.py server.py; do
        if [[ -z $server$script && -f $file ]]; then script=$file; fi
    done
}

find_django() {
    # manage.py names the settings module; wsgi.py stands beside it.
    local pattern="DJANGO_SETTINGS_MODULE['\"], *['\"]([A-Za-z0-9_.]+)\.settings"
    [[ $(<manage.py) =~ $pattern ]] || return 1
    local package=${BASH_REMATCH[1]%.settings} directory
    directory=${package//.//}
    framework=django
    if [[ -f $directory/wsgi.py ]]; then
        target=$package.wsgi server=gunicorn
    elif [[ -f $directory/asgi.py ]]; then
        target=$package.asgi server=uvicorn
    fi
}

find_framework() {
    # Looked for where people put it; never imported, so nothing of the app runs here.
    local files=() file
    for file in app.py main.py wsgi.py asgi.py application.py server.py api.py src/app.py src/main.py \
        */__init__.py */app.py */main.py src/*/__init__.py src/*/app.py src/*/main.py; do
        if [[ -f $file && $file =~ ^[A-Za-z0-9_/]+\.py$ && $file != tests/* ]]; then files+=("$file"); fi
    done
    if ((${#files[@]} == 0)); then return; fi
    local name='[A-Za-z_][A-Za-z0-9_]*' classes='Flask|Quart|FastAPI|Starlette|Litestar|Bottle|Sanic|Dash'
    local line in_factory='' matches
    matches=$(grep -HoE "^ *$name(: *[A-Za-z0-9_.]+)? *= *($name\.)?($classes)\(|^def (create|make)_app\(|^(app|application) *= *(create|make)_app\(" "${files[@]}") || return 0
    while IFS= read -r line; do
        file=${line%%:*} line=${line#*:}
        if [[ $line =~ ^($name)[^=]*=.*[\ .=]($classes)\($ ]]; then
            use "$file" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
            return
        elif [[ $line =~ ($classes)\($ ]]; then
            in_factory=${BASH_REMATCH[1]}
        fi
    done <<<"$matches"
    use_factory "$matches" "${in_factory:-Flask}"
}

use_factory() { # a name made by the factory if there is one, else the factory itself
    local line file
    for pattern in '^(app|application) *=' '^def ((create|make)_app)\('; do
        while IFS= read -r line; do
            file=${line%%:*} line=${line#*:}
            if [[ $line =~ $pattern ]]; then
                use "$file" "${BASH_REMATCH[1]}" "$2"
                if [[ $line == def* ]]; then factory=yes; fi
                return
            fi
        done <<<"$1"
    done
}

use() { # FILE NAME CLASS
    local module=${1%.py}
    module=${module%/__init__}
    if [[ $module == src/* ]]; then root=src module=${module#src/}; fi
    target=${module//\//.}:$2
    framework=${3,,}
    case $3 in
        FastAPI | Starlette | Litestar | Quart | Sanic) server=uvicorn ;;
        Dash) server=gunicorn target=$target.server ;;
        *) server=gunicorn ;;
    esac
}

write_launch() {
    local command='' call='' at=''
    case $server in
        gunicorn)
            if [[ $factory ]]; then call='()'; fi
            if [[ $root ]]; then at=" --chdir $root"; fi
            # One process of four threads is light; WEB_CONCURRENCY, which gunicorn reads itself, makes it more.
            command="gunicorn '$target$call' --bind 0.0.0.0:\$PORT --threads 4 --forwarded-allow-ips '*'$at"
            ;;
        uvicorn)
            if [[ $factory ]]; then call=' --factory'; fi
            if [[ $root ]]; then at=" --app-dir $root"; fi
            command="uvicorn $target$call --host 0.0.0.0 --port \$PORT --proxy-headers --forwarded-allow-ips '*'$at"
            ;;
        *)
            if [[ $script ]]; then command="python $script"; fi
            ;;
    esac
    if [[ -z $command ]]; then
        if [[ ! -f Procfile ]]; then echo "No web process found: name it in a Procfile"; fi
        : >"$layers/launch.toml"
        return
    fi
    echo "web: $command (${framework:-a script}; a Procfile would win)"
    printf '[[processes]]\ntype = "web"\ncommand = ["sh", "-c", "exec %s"]\ndefault = true\n' \
        "$command" >"$layers/launch.toml"
}
